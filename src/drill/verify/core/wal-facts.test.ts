import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import type { Lsn } from '../../../wal/core/lsn.ts'
import { createPairFinder, type TransactionEnd } from './wal-facts.ts'

const end = (lsn: number, micros: number, more: Partial<TransactionEnd> = {}): TransactionEnd => {
  return {
    lsn: BigInt(lsn) as Lsn,
    transaction: lsn,
    kind: 'commit',
    prepared: false,
    epochMicros: BigInt(micros),
    ...more,
  }
}

function find(
  ends: readonly TransactionEnd[],
  from: number,
  near: number,
): ReturnType<ReturnType<typeof createPairFinder>['found']> {
  const finder = createPairFinder({ from: BigInt(from) as Lsn, near: BigInt(near) as Lsn })
  for (const each of ends) finder.see(each)
  return finder.found()
}

test('the pair lies around the chosen place, or is the last before it', () => {
  const ends = [10, 20, 30, 40].map((lsn) => end(lsn, lsn * 100))
  const around = find(ends, 0, 25)
  assert.deepEqual([around?.first.lsn, around?.second.lsn, around?.moment], [20n, 30n, 2500n])
  assert.deepEqual([find(ends, 0, 99)?.second.lsn, find(ends, 0, 0)?.first.lsn], [40n, 10n])
  assert.equal(find(ends, 40, 40), undefined)
  assert.equal(find([], 0, 0), undefined)
})

test('a moment is given only when no transaction before had reached it: recovery stops at the first that has', () => {
  // The clock was set back between 20 and 30.
  const stepped = [end(10, 1000), end(20, 9000), end(30, 2000), end(40, 9500)]
  assert.equal(find(stepped, 0, 25)?.moment, undefined)
  assert.equal(find(stepped, 0, 35)?.moment, 9250n)
  const anyEnds = fc.array(
    fc.record({
      micros: fc.integer({ min: 0, max: 50 }),
      kind: fc.constantFrom('commit' as const, 'abort' as const),
      prepared: fc.boolean(),
    }),
    { maxLength: 20 },
  )
  fc.assert(
    fc.property(anyEnds, fc.nat(20), fc.nat(20), (drawn, from, near) => {
      const ends = drawn.map(({ micros, ...more }, index) => end(index + 1, micros, more))
      const pair = find(ends, from, near)
      if (pair === undefined) return
      assert.ok(pair.first.lsn >= BigInt(from) && pair.first.lsn < pair.second.lsn)
      const { moment } = pair
      if (moment === undefined) return
      // What PostgreSQL does with this moment as its target.
      const stop = ends.find(({ epochMicros }) => epochMicros > moment)
      assert.equal(stop?.lsn, pair.second.lsn)
    }),
  )
})
