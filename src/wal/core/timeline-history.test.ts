import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import type { Lsn, TimelineId } from './lsn.ts'
import {
  branchTimeline,
  containsPosition,
  firstTimelineHistory,
  forkPosition,
  formatTimelineHistory,
  parseTimelineHistory,
  switchPoint,
  timelineAt,
  timelinePath,
} from './timeline-history.ts'
import type { TimelineHistory } from './timeline-history.ts'

const timeline = (id: number): TimelineId => id as TimelineId
const lsn = (value: bigint): Lsn => value as Lsn

const anyHistory: fc.Arbitrary<TimelineHistory> = fc
  .array(fc.record({ step: fc.integer({ min: 1, max: 5 }), bytes: fc.bigInt({ min: 0n, max: 1n << 40n }) }), {
    maxLength: 8,
  })
  .map((promotions) => {
    let history = firstTimelineHistory()
    let at = 0n
    for (const { step, bytes } of promotions) {
      at += bytes
      history = branchTimeline(history, timeline(history.timeline + step), lsn(at), 'no recovery target specified')
    }
    return history
  })
const anyLsn = fc.bigInt({ min: 0n, max: 1n << 43n }).map(lsn)

// Written by PostgreSQL 15 after three promotions.
const real = '1\t0/3000000\tno recovery target specified\n\n2\t0/50001A8\tbefore 2026-11-22 13:41:05.123456+00\n'

test('a history file of a real server is understood, and written again to the byte', () => {
  const parsed = parse(3, real)
  assert.deepEqual(parsed.ancestors, [
    { timeline: 1, switchLsn: 0x3000000n, reason: 'no recovery target specified' },
    { timeline: 2, switchLsn: 0x50001a8n, reason: 'before 2026-11-22 13:41:05.123456+00' },
  ])
  assert.equal(formatTimelineHistory(parsed), real)
})

test('what is written reads back', () => {
  fc.assert(
    fc.property(anyHistory, (history) => {
      assert.deepEqual(parse(history.timeline, formatTimelineHistory(history)), history)
    }),
  )
})

test('comments and blank lines are passed over; zero-padded LSNs, as newer servers write them, are read', () => {
  const parsed = parse(2, '# a comment\n\n1\t0/03000000\tx\n')
  assert.deepEqual(parsed.ancestors, [{ timeline: 1, switchLsn: 0x3000000n, reason: 'x' }])
})

test('a broken history is never taken for a shorter one', () => {
  for (const text of [
    '1\n',
    'one\t0/3000000\tx\n',
    '1\t03000000\tx\n',
    '2\t0/3000000\tx\n\n1\t0/4000000\tx\n',
    '1\t0/4000000\tx\n\n2\t0/3000000\tx\n',
    '3\t0/3000000\tits own\n',
    '0\t0/3000000\tx\n',
    '1\t0/30000',
  ]) {
    const result = parseTimelineHistory(timeline(3), text)
    assert.ok('malformed' in result, text)
  }
})

test('the path covers every LSN exactly once, and names the timeline that timelineAt names', () => {
  fc.assert(
    fc.property(anyHistory, anyLsn, (history, at) => {
      const path = timelinePath(history)
      const holding = path.filter(({ startLsn, endLsn }) => startLsn <= at && (endLsn === undefined || at < endLsn))
      assert.deepEqual(
        holding.map((stretch) => stretch.timeline),
        [timelineAt(history, at)],
      )
    }),
  )
})

test('a position on an ancestor is contained up to the switch point and not one byte further', () => {
  fc.assert(
    fc.property(anyHistory, (history) => {
      for (const ancestor of history.ancestors) {
        const end = switchPoint(history, ancestor.timeline)
        assert.equal(end, ancestor.switchLsn)
        assert.ok(containsPosition(history, { timeline: ancestor.timeline, lsn: ancestor.switchLsn }))
        assert.ok(!containsPosition(history, { timeline: ancestor.timeline, lsn: lsn(ancestor.switchLsn + 1n) }))
      }
      assert.ok(!containsPosition(history, { timeline: timeline(history.timeline + 1), lsn: lsn(0n) }))
    }),
  )
})

test('two branches part where the first of them left the shared timeline', () => {
  fc.assert(
    fc.property(
      anyHistory,
      fc.bigInt({ min: 0n, max: 1n << 40n }),
      fc.bigInt({ min: 0n, max: 1n << 40n }),
      (base, x, y) => {
        const begin = base.ancestors.at(-1)?.switchLsn ?? 0n
        const a = branchTimeline(base, timeline(base.timeline + 1), lsn(begin + x), 'a')
        const b = branchTimeline(base, timeline(base.timeline + 2), lsn(begin + y), 'b')
        const fork = { timeline: base.timeline, lsn: begin + (x < y ? x : y) }
        assert.deepEqual(forkPosition(a, b), fork)
        assert.deepEqual(forkPosition(b, a), fork)
        assert.deepEqual(forkPosition(base, a), { timeline: base.timeline, lsn: begin + x })
      },
    ),
  )
})

test('two timelines of the same number that began elsewhere part on their parent', () => {
  const base = firstTimelineHistory()
  const a = branchTimeline(base, timeline(2), lsn(100n), 'a')
  const b = branchTimeline(base, timeline(2), lsn(200n), 'b')
  assert.deepEqual(forkPosition(a, b), { timeline: 1, lsn: 100n })
  assert.equal(forkPosition(firstTimelineHistory(timeline(1)), firstTimelineHistory(timeline(7))), undefined)
})

function parse(id: number, text: string): TimelineHistory {
  const result = parseTimelineHistory(timeline(id), text)
  assert.ok('history' in result)
  return result.history
}
