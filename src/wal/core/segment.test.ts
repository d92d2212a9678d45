import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import type { Lsn, TimelineId } from './lsn.ts'
import {
  classifyWalFile,
  historyFileName,
  isSegmentSize,
  offsetInSegment,
  segmentBefore,
  segmentFileName,
  segmentOf,
  segmentStart,
} from './segment.ts'

const anySize = fc.integer({ min: 20, max: 30 }).map((power) => 2 ** power)
const anyTimeline = fc.integer({ min: 1, max: 0xffff_ffff }).map((value) => value as TimelineId)
const anyLsn = fc.bigInt({ min: 1n, max: 0xffff_ffff_ffff_ffffn }).map((value) => value as Lsn)

test('an LSN is the start of its segment plus its offset, for every segment size', () => {
  fc.assert(
    fc.property(anyLsn, anySize, (lsn, size) => {
      const start = segmentStart(segmentOf(lsn, size), size)
      assert.equal(start + BigInt(offsetInSegment(lsn, size)), lsn)
      assert.ok(start <= lsn && lsn < start + BigInt(size))
    }),
  )
})

test('the segment before an LSN differs from the one at it only on a boundary', () => {
  fc.assert(
    fc.property(anyLsn, anySize, (lsn, size) => {
      const onBoundary = offsetInSegment(lsn, size) === 0
      assert.equal(segmentBefore(lsn, size), onBoundary ? segmentOf(lsn, size) - 1n : segmentOf(lsn, size))
    }),
  )
})

test('a segment name reads back as its timeline and number, and names sort as the WAL was written', () => {
  fc.assert(
    fc.property(anyLsn, anyLsn, anySize, anyTimeline, (a, b, size, timeline) => {
      const name = segmentFileName(timeline, segmentOf(a, size), size)
      assert.deepEqual(classifyWalFile(name, size), { kind: 'segment', timeline, segment: segmentOf(a, size) })
      const other = segmentFileName(timeline, segmentOf(b, size), size)
      assert.equal(name < other, segmentOf(a, size) < segmentOf(b, size))
    }),
  )
})

test('names are those that pg_walfile_name gives', () => {
  const timeline = 1 as TimelineId
  const name = (lsn: bigint, size: number): string => segmentFileName(timeline, segmentOf(lsn as Lsn, size), size)
  assert.equal(name(0x16_b374d848n, 16 * 2 ** 20), '0000000100000016000000B3')
  assert.equal(name(0x16_b374d848n, 2 ** 20), '000000010000001600000B37')
  assert.equal(name(0x16_b374d848n, 2 ** 30), '000000010000001600000002')
})

test('every kind of file is told by its name', () => {
  const size = 16 * 2 ** 20
  const segment = segmentOf(0x16_b3000000n as Lsn, size)
  assert.deepEqual(classifyWalFile('0000000A.history', size), { kind: 'history', timeline: 10 })
  assert.equal(historyFileName(10 as TimelineId), '0000000A.history')
  assert.deepEqual(classifyWalFile('0000000A00000016000000B3.partial', size), {
    kind: 'partial',
    timeline: 10,
    segment,
  })
  assert.deepEqual(classifyWalFile('0000000A00000016000000B3.0074D848.backup', size), {
    kind: 'backup',
    timeline: 10,
    segment,
    start: 0x16_b374d848n,
  })
})

test('names that no server writes are nothing', () => {
  const size = 16 * 2 ** 20
  for (const name of [
    'archive_status',
    '0000000a00000016000000B3',
    '0000000A00000016000000B3.part',
    '0000000A0000001600000100',
    '000000000000001600000001',
    '00000000.history',
    '0000000A00000016000000B3.01000000.backup',
    'x0000000A00000016000000B3',
  ]) {
    assert.equal(classifyWalFile(name, size), undefined, name)
  }
})

test('a segment size is a power of two from 1 MiB to 1 GiB', () => {
  for (const size of [2 ** 20, 16 * 2 ** 20, 2 ** 30]) assert.ok(isSegmentSize(size))
  for (const size of [0, -1, 2 ** 19, 2 ** 31, 3 * 2 ** 20, 1.5, Number.NaN]) assert.ok(!isSegmentSize(size))
})
