import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { expectDuration, flushTime, quietPeriodMs } from './flush-time.ts'

const at = { flushMs: 5000, pendingSince: 10_000, lastReceivedAt: 10_000, lastFlushedAt: 0, expectedMs: 0 }

test('a commit on a quiet server is flushed after a moment', () => {
  assert.equal(flushTime(at), 11_000)
})

test('while more comes the limit decides, less what the flush will take', () => {
  assert.equal(flushTime({ ...at, lastReceivedAt: 14_900 }), 15_000)
  assert.equal(flushTime({ ...at, lastReceivedAt: 14_900, expectedMs: 500 }), 14_000)
})

test('between two flushes lies a moment, as long as the limit allows it', () => {
  assert.equal(flushTime({ ...at, lastFlushedAt: 10_900 }), 11_900)
  assert.equal(flushTime({ ...at, lastFlushedAt: 14_800 }), 15_000)
})

/** Plays arrivals against a store that takes the same time for every flush; gives ages when durable, and the flushes. */
function play(arrivals: readonly number[], flushMs: number, tookMs: number): { oldest: number; flushes: number[] } {
  const flushes: number[] = []
  let oldest = 0
  let expectedMs = tookMs
  let lastFlushedAt = -flushMs
  for (let next = 0; next < arrivals.length;) {
    const pendingSince = arrivals[next] ?? 0
    let upTo = next + 1
    let begin = 0
    for (;;) {
      const view = { flushMs, pendingSince, lastReceivedAt: arrivals[upTo - 1] ?? 0, lastFlushedAt, expectedMs }
      // While one flush runs the next cannot begin.
      begin = Math.max(flushTime(view), lastFlushedAt)
      if ((arrivals[upTo] ?? Number.POSITIVE_INFINITY) > begin) break
      upTo += 1
    }
    flushes.push(begin)
    oldest = Math.max(oldest, begin + tookMs - pendingSince)
    lastFlushedAt = begin + tookMs
    expectedMs = expectDuration(expectedMs, tookMs)
    next = upTo
  }
  return { oldest, flushes }
}

test('whatever comes when, nothing gets older than the limit where the store is fast enough, and flushes keep their distance', () => {
  const gaps = fc.array(fc.oneof(fc.integer({ min: 0, max: 50 }), fc.integer({ min: 0, max: 9000 })), {
    minLength: 1,
    maxLength: 200,
  })
  fc.assert(
    fc.property(
      gaps,
      fc.integer({ min: 1000, max: 10_000 }),
      fc.double({ min: 0, max: 0.35, noNaN: true }),
      (pauses, flushMs, share) => {
        let now = 0
        const arrivals = pauses.map((pause) => (now += pause))
        const { oldest, flushes } = play(arrivals, flushMs, share * flushMs)
        assert.ok(oldest <= flushMs + 1e-6, `${oldest} of ${flushMs}`)
        const quietMs = quietPeriodMs(flushMs)
        for (const [index, begin] of flushes.entries()) {
          if (index > 0)
            assert.ok(begin - (flushes[index - 1] ?? 0) >= Math.min(quietMs, flushMs - 2 * share * flushMs) - 1e-6)
        }
      },
    ),
  )
})

test('a flush that takes longer than expected counts at once, a shorter one little by little', () => {
  assert.equal(expectDuration(100, 900), 900)
  assert.equal(expectDuration(900, 100), 740)
})
