import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import type { Lsn, TimelineId } from '../../../wal/core/lsn.ts'
import { baseBackupCommand, createPhysicalSlotCommand, startReplicationCommand } from './command.ts'
import { encodeQuery, encodeStandbyStatus, fromServerMicroseconds, toServerMicroseconds } from './frontend-message.ts'
import { parseMemory } from './row-value.ts'

test('a query is a Q, its length, its text and a zero byte', () => {
  assert.deepEqual([...encodeQuery('SHOW')], [0x51, 0, 0, 0, 9, 0x53, 0x48, 0x4f, 0x57, 0])
  assert.throws(() => encodeQuery('SHOW\0'), RangeError)
})

test('a status report has the layout of the protocol document', () => {
  const report = { write: 0x0102n as Lsn, flush: 0x0101n as Lsn, apply: 0n as Lsn, replyRequested: true }
  const view = new DataView(encodeStandbyStatus(report, Date.UTC(2000, 0, 1, 0, 0, 1)).buffer)
  assert.equal(String.fromCharCode(view.getUint8(0), view.getUint8(5)), 'dr')
  assert.equal(view.getInt32(1), 4 + 34)
  assert.deepEqual(
    [6, 14, 22, 30].map((at) => view.getBigInt64(at)),
    [0x0102n, 0x0101n, 0n, 1_000_000n],
  )
  assert.equal(view.getUint8(38), 1)
  assert.equal(view.byteLength, 39)
})

test('times survive the way to the server and back', () => {
  fc.assert(
    fc.property(fc.integer({ min: 946_684_800_000, max: 4_102_444_800_000 }), (epochMs) => {
      assert.equal(fromServerMicroseconds(toServerMicroseconds(epochMs)), epochMs)
    }),
  )
})

test('commands quote what they are given', () => {
  assert.equal(
    startReplicationCommand({ slot: 'a', startLsn: 0x1_0200_0000n as Lsn, timeline: 3 as TimelineId }),
    'START_REPLICATION SLOT "a" PHYSICAL 1/2000000 TIMELINE 3',
  )
  assert.equal(createPhysicalSlotCommand('a"b', { reserveWal: false }), 'CREATE_REPLICATION_SLOT "a""b" PHYSICAL')
  const command = baseBackupCommand({
    label: "it's",
    checkpoint: 'fast',
    progress: true,
    verifyChecksums: true,
    manifestChecksums: 'CRC32C',
    tablespaceMap: false,
    maxRateKilobytesPerSecond: 1000,
  })
  assert.match(command, /^BASE_BACKUP \(LABEL 'it''s', .*, MAX_RATE 1000\)$/)
})

test('memory settings are read as SHOW prints them', () => {
  assert.equal(parseMemory('16MB'), 16 * 1024 * 1024)
  assert.equal(parseMemory('1GB'), 1024 ** 3)
  assert.equal(parseMemory('512kB'), 512 * 1024)
  assert.equal(parseMemory('16'), undefined)
})
