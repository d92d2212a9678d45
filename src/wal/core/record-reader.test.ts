import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { crc32cFinish, crc32cStart, crc32cUpdate } from './crc32c.ts'
import type { Lsn } from './lsn.ts'
import { walPageBytes } from './page-header.ts'
import { findEndOfWal, pagesOfSegment, readRecords } from './record-reader.ts'
import type { WalPages } from './record-reader.ts'

const segmentBytes = 2 ** 20
const segmentLsn = (5n * BigInt(segmentBytes)) as Lsn
const systemIdentifier = 7_000_000_000_000_000_001n

const anySizes = fc.array(
  fc.oneof(fc.integer({ min: 0, max: 60 }), fc.integer({ min: 8000, max: 9000 }), fc.integer({ min: 0, max: 40_000 })),
  { minLength: 1, maxLength: 20 },
)

test('records of any size come back with their places, and the end is the end of the last', () => {
  fc.assert(
    fc.property(anySizes, (sizes) => {
      const { bytes, written, endLsn } = writeWal(sizes)
      const read = [...readRecords(pages(bytes), segmentLsn, systemIdentifier)]
      assert.deepEqual(
        read.map((record) => [record.lsn, record.totalBytes]),
        written,
      )
      assert.deepEqual(findEndOfWal(pages(bytes), segmentLsn), {
        endLsn,
        lastRecordLsn: written.at(-1)?.[0],
        reason: 'no-record',
        incomplete: false,
      })
    }),
    { numRuns: 50 },
  )
})

test('WAL that ends with its page ends as any other: the next page is blank', () => {
  const { bytes, endLsn } = writeWal([8073, 17])
  assert.equal(endLsn % BigInt(walPageBytes), 0n)
  assert.deepEqual(findEndOfWal(pages(bytes), segmentLsn).reason, 'no-record')
})

test('a flipped bit anywhere in a record is never read over', () => {
  fc.assert(
    fc.property(anySizes, fc.nat(), fc.nat(), (sizes, which, where) => {
      const { bytes, written } = writeWal(sizes)
      const index = which % written.length
      const [lsn, totalBytes] = written[index]!
      const onPage = walPageBytes - Number(lsn % BigInt(walPageBytes))
      const offset = Number(lsn - segmentLsn) + (where % Math.min(totalBytes, onPage))
      bytes[offset]! ^= 1 << (where % 8)
      const read = [...readRecords(pages(bytes), segmentLsn)]
      assert.ok(read.length <= index, `${read.length} records read, record ${index} is damaged`)
    }),
    { numRuns: 100 },
  )
})

test('a record that was given up on a page boundary is passed over, as the server does', () => {
  const { bytes, written } = writeWal([100, 9000])
  const givenUp = written[1]![0]
  const pageLsn = (segmentLsn + BigInt(walPageBytes)) as Lsn
  const next = writeWal([50], pageLsn, written[0]![0])
  bytes.fill(0, walPageBytes)
  bytes.set(next.bytes.subarray(0, walPageBytes), walPageBytes)
  new DataView(bytes.buffer).setUint16(walPageBytes + 2, 8, true)
  const read = [...readRecords(pages(bytes), segmentLsn)]
  assert.deepEqual(
    read.map((record) => record.lsn),
    [written[0]![0], next.written[0]![0]],
  )
  assert.ok(!read.some((record) => record.lsn === givenUp))
})

test('a record whose rest is missing is told from the end of the WAL', () => {
  const { bytes, written } = writeWal([100, 9000])
  const cut = pagesOfSegment(bytes.subarray(0, walPageBytes), segmentLsn, segmentBytes)
  const end = findEndOfWal(cut, segmentLsn)
  assert.deepEqual(end, { endLsn: written[1]![0], lastRecordLsn: written[0]![0], reason: 'no-page', incomplete: true })
})

test('a page of another place, system or release is not read', () => {
  const { bytes } = writeWal([100])
  assert.equal(findEndOfWal(pages(bytes), segmentLsn, 1n).reason, 'foreign-page')
  const moved = pagesOfSegment(bytes, 0n as Lsn, segmentBytes)
  assert.equal(findEndOfWal(moved, 0n as Lsn).reason, 'foreign-page')
  bytes[0] = 0
  assert.equal(findEndOfWal(pages(bytes), segmentLsn).reason, 'foreign-page')
})

function pages(bytes: Uint8Array): WalPages {
  return pagesOfSegment(bytes, segmentLsn, segmentBytes)
}

/** Writes records with data of the given sizes, by the format's description, not by the reader's code. */
function writeWal(
  sizes: readonly number[],
  start: Lsn = segmentLsn,
  before: Lsn = 0n as Lsn,
): { bytes: Uint8Array; written: [Lsn, number][]; endLsn: Lsn } {
  const bytes = new Uint8Array(segmentBytes)
  const view = new DataView(bytes.buffer)
  const written: [Lsn, number][] = []
  let at = 0
  let previous = before
  const beginPage = (rest: number): void => {
    const lsn = start + BigInt(at)
    const long = lsn % BigInt(segmentBytes) === 0n
    view.setUint16(at, 0xd116, true)
    view.setUint16(at + 2, (rest > 0 ? 1 : 0) | (long ? 2 : 0), true)
    view.setUint32(at + 4, 1, true)
    view.setBigUint64(at + 8, lsn, true)
    view.setUint32(at + 16, rest, true)
    if (long) {
      view.setBigUint64(at + 24, systemIdentifier, true)
      view.setUint32(at + 32, segmentBytes, true)
      view.setUint32(at + 36, walPageBytes, true)
    }
    at += long ? 40 : 24
  }
  beginPage(0)
  for (const size of sizes) {
    if (at % walPageBytes === 0) beginPage(0)
    const lsn = (start + BigInt(at)) as Lsn
    const record = encodeRecord(size, previous)
    for (let done = 0; done < record.length;) {
      if (at % walPageBytes === 0) beginPage(record.length - done)
      const part = Math.min(record.length - done, walPageBytes - (at % walPageBytes))
      bytes.set(record.subarray(done, done + part), at)
      done += part
      at += part
    }
    at = (at + 7) & ~7
    written.push([lsn, record.length])
    previous = lsn
  }
  return { bytes, written, endLsn: (start + BigInt(at)) as Lsn }
}

function encodeRecord(size: number, previous: Lsn): Uint8Array {
  const record = new Uint8Array(24 + size)
  const view = new DataView(record.buffer)
  view.setUint32(0, record.length, true)
  view.setUint32(4, 42, true)
  view.setBigUint64(8, previous, true)
  view.setUint8(16, 0)
  view.setUint8(17, 10)
  for (let i = 24; i < record.length; i += 1) record[i] = (i * 31) & 255
  const state = crc32cUpdate(crc32cUpdate(crc32cStart, record, 24), record, 0, 20)
  view.setUint32(20, crc32cFinish(state), true)
  return record
}
