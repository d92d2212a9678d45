import assert from 'node:assert/strict'
import test from 'node:test'
import * as fc from 'fast-check'
import type { Lsn, TimelineId } from '../../wal/core/lsn.ts'
import { assertObjectKey } from '../../store/object-key.ts'
import * as names from './object-names.ts'

const [cluster, backup] = ['main', '20260102T030405Z-0123abcd']
const timeline = fc.integer({ min: 1, max: 0xffff_ffff }).map((id) => id as TimelineId)
const lsn = fc.bigInt(0n, 2n ** 64n - 1n).map((position) => position as Lsn)

test('every object has the name that the format says, and every store takes it', () => {
  const tail = { timeline: 0x1a as TimelineId, startLsn: 0x1_2b00_0000n as Lsn, endLsn: 0x1_2b00_1000n as Lsn }
  const expected: readonly [string, string][] = [
    [names.keyObject('00ff'), 'keys/00ff.asc'],
    [names.packObject(cluster, backup, 12), `main/packs/${backup}/000012`],
    [names.manifestObject(cluster, backup), `main/backups/${backup}/manifest`],
    [names.commitObject(cluster, backup), `main/backups/${backup}/commit.json`],
    [names.sessionObject(cluster, backup), `main/sessions/${backup}.json`],
    [names.clusterObject(cluster), 'main/cluster.json'],
    [names.segmentObject(cluster, '0000001A000000010000002B'), 'main/wal/0000001A/0000001A000000010000002B'],
    [names.historyObject(cluster, tail.timeline), 'main/wal/0000001A.history'],
    [names.tailObject(cluster, tail), 'main/tail/0000001A/000000012B000000-000000012B001000'],
  ]
  for (const [actual, wanted] of expected) {
    assert.equal(actual, wanted)
    assertObjectKey(actual)
  }
})

test('names of WAL objects read back', () => {
  fc.assert(
    fc.property(timeline, lsn, lsn, fc.integer({ min: 20, max: 30 }), (id, startLsn, endLsn, bits) => {
      const tail = { timeline: id, startLsn, endLsn }
      assert.deepEqual(names.parseTailName(names.tailObject(cluster, tail).slice('main/tail/'.length)), tail)
      const walSegmentBytes = 2 ** bits
      const name = names.segmentNameAt(id, startLsn, walSegmentBytes)
      assert.equal(names.segmentStart(name, walSegmentBytes), startLsn - (startLsn % BigInt(walSegmentBytes)))
      const rest = names.segmentObject(cluster, name).slice('main/wal/'.length)
      assert.deepEqual(names.parseWalName(rest), { kind: 'segment', timeline: id, name })
      const history = names.historyObject(cluster, id).slice('main/wal/'.length)
      assert.deepEqual(names.parseWalName(history), { kind: 'history', timeline: id })
    }),
  )
})

test('foreign names are no WAL objects', () => {
  const foreign = [
    '',
    '0000001A',
    '0000001B/0000001A000000010000002B',
    '0000001A/0000001a000000010000002b',
    'x.history',
  ]
  for (const rest of foreign) assert.equal(names.parseWalName(rest), undefined)
  for (const rest of ['', '0000001A/1-2', '0000001A/000000012B000000'])
    assert.equal(names.parseTailName(rest), undefined)
})

test('cluster names that would collide with other objects, or that a store cannot hold, are refused', () => {
  for (const good of ['main', 'a', 'Prod-1.eu_west', '15-main']) assert.ok(names.isClusterName(good), good)
  const bad = [
    '',
    'keys',
    'repository.json',
    'restore.mjs',
    'RESTORE.md',
    '.a',
    '-a',
    'a/b',
    'ä',
    'a b',
    'x'.repeat(64),
  ]
  for (const name of bad) assert.ok(!names.isClusterName(name), name)
})
