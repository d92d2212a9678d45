import assert from 'node:assert/strict'
import test from 'node:test'
import * as fc from 'fast-check'
import type { Lsn, TimelineId } from '../../wal/core/lsn.ts'
import { segmentNameAt } from './object-names.ts'
import { contiguousTail, walCoverage, type WalInventory } from './wal-coverage.ts'

const size = 16
const [one, two] = [1 as TimelineId, 2 as TimelineId]

function inventory(segments: readonly number[], tails: readonly (readonly [number, number])[]): WalInventory {
  return {
    segments: segments.map((number) => ({
      timeline: one,
      name: segmentNameAt(one, BigInt(number * size) as Lsn, size),
    })),
    tails: tails.map(([start, end]) => ({ timeline: one, startLsn: BigInt(start) as Lsn, endLsn: BigInt(end) as Lsn })),
    histories: [],
  }
}

function covered(found: WalInventory, timeline = one): { ranges: string[]; gaps: string[] } {
  const { ranges, gaps } = walCoverage(found, { timeline, walSegmentBytes: size })
  const show = (range: { startLsn: Lsn; endLsn: Lsn }): string => `${range.startLsn}-${range.endLsn}`
  return { ranges: ranges.map(show), gaps: gaps.map(show) }
}

test('segments and the tail after them make ranges; what is missing between ranges is a gap', () => {
  const cases: readonly [WalInventory, string[], string[]][] = [
    [inventory([], []), [], []],
    [inventory([3, 1, 2], []), ['16-64'], []],
    [inventory([1, 3], []), ['16-32', '48-64'], ['32-48']],
    [inventory([1], [[32, 40]]), ['16-40'], []],
    [
      inventory(
        [1],
        [
          [32, 36],
          [36, 40],
        ],
      ),
      ['16-40'],
      [],
    ],
    [
      inventory(
        [1],
        [
          [32, 36],
          [37, 40],
        ],
      ),
      ['16-36'],
      [],
    ],
    [inventory([1], [[33, 40]]), ['16-32'], []],
    [
      inventory(
        [1],
        [
          [32, 38],
          [32, 36],
          [34, 40],
        ],
      ),
      ['16-40'],
      [],
    ],
    [inventory([1, 3], [[32, 48]]), ['16-64'], []],
    [inventory([1, 3], [[32, 47]]), ['16-47', '48-64'], ['47-48']],
    [inventory([2], [[32, 40]]), ['32-48'], []],
  ]
  for (const [found, ranges, gaps] of cases) assert.deepEqual(covered(found), { ranges, gaps })
})

test('other timelines do not count', () => {
  assert.deepEqual(covered(inventory([1], [[32, 40]]), two), { ranges: [], gaps: [] })
})

const tails = fc.array(
  fc.tuple(fc.nat(3), fc.nat(size - 1), fc.integer({ min: 1, max: size })).map(([segment, from, length]) => {
    const start = segment * size + from
    return [start, Math.min(start + length, (segment + 1) * size)] as const
  }),
  { maxLength: 12 },
)

test('the ranges cover exactly the bytes that can be reached from the start of a segment', () => {
  fc.assert(
    fc.property(fc.uniqueArray(fc.nat(3)), tails, (segments, parts) => {
      const expected = new Set<number>()
      for (let segment = 0; segment < 4; segment += 1) {
        const whole = segments.includes(segment)
        for (let at = segment * size; at < (segment + 1) * size; at += 1) {
          if (!whole && !parts.some(([start, end]) => start <= at && at < end)) break
          expected.add(at)
        }
      }
      const { ranges, gaps } = walCoverage(inventory(segments, parts), { timeline: one, walSegmentBytes: size })
      const bytes = (list: typeof ranges): number[] =>
        list.flatMap(({ startLsn, endLsn }) =>
          Array.from({ length: Number(endLsn - startLsn) }, (_, index) => Number(startLsn) + index),
        )
      assert.deepEqual(
        bytes(ranges),
        [...expected].toSorted((a, b) => a - b),
      )
      const [first, last] = [Math.min(...expected), Math.max(...expected)]
      const missing = Array.from({ length: 64 }, (_, at) => at).filter(
        (at) => at > first && at < last && !expected.has(at),
      )
      assert.deepEqual(bytes(gaps), missing)
    }),
    { numRuns: 500 },
  )
})

test('the parts of a tail follow each other without a hole and without an overlap', () => {
  fc.assert(
    fc.property(tails, (parts) => {
      const segment = { timeline: one, startLsn: 16n as Lsn, endLsn: 32n as Lsn }
      let reached = segment.startLsn
      for (const part of contiguousTail(inventory([], parts).tails, segment)) {
        assert.equal(part.startLsn, reached)
        assert.ok(part.tail.startLsn <= part.startLsn && part.tail.endLsn === part.endLsn)
        reached = part.endLsn
      }
    }),
  )
})
