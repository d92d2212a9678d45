import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { judge, type Check } from './judge.ts'

const outcomes = ['passed', 'doubtful', 'failed', 'skipped'] as const
const check = (level: 0 | 1 | 2 | 3 | 4, outcome: Check['outcome'], needed = true): Check => {
  return { level, name: 'x', outcome, needed, text: '', durationMs: 0 }
}

test('a level is proven when all that it and the levels below need was seen to be good', () => {
  assert.deepEqual(judge([check(0, 'passed'), check(1, 'passed')], 1), { proven: 1, outcome: 'passed' })
  assert.deepEqual(judge([check(0, 'passed'), check(1, 'doubtful')], 1), { proven: 1, outcome: 'doubtful' })
  assert.deepEqual(judge([check(0, 'passed'), check(1, 'failed')], 1), { proven: 0, outcome: 'failed' })
  assert.deepEqual(judge([check(0, 'failed'), check(1, 'passed')], 1), { proven: null, outcome: 'failed' })
  assert.deepEqual(judge([check(0, 'passed'), check(1, 'skipped')], 1), { proven: 0, outcome: 'incomplete' })
  const optional = [check(0, 'passed'), check(1, 'passed'), check(1, 'skipped', false)]
  assert.deepEqual(judge(optional, 1), { proven: 1, outcome: 'passed' })
})

test('law L11: nothing is proven that was not looked at', () => {
  assert.deepEqual(judge([], 0), { proven: null, outcome: 'incomplete' })
  assert.deepEqual(judge([check(0, 'skipped', false)], 0), { proven: null, outcome: 'incomplete' })
  const anyCheck = fc.record({
    level: fc.constantFrom(0, 1, 2, 3, 4),
    outcome: fc.constantFrom(...outcomes),
    needed: fc.boolean(),
  })
  fc.assert(
    fc.property(fc.array(anyCheck), fc.constantFrom(0, 1, 2, 3, 4), (drawn, requested) => {
      const checks = drawn.map(({ level, outcome, needed }) => check(level, outcome, needed))
      const { proven, outcome } = judge(checks, requested)
      if (outcome === 'passed') assert.equal(proven, requested)
      for (const { level, ...seen } of checks) {
        if (proven !== null && level <= proven) assert.notEqual(seen.outcome, 'failed')
      }
      for (let level = 0; level <= (proven ?? -1); level += 1) {
        assert.ok(checks.some((seen) => seen.level === level && seen.outcome !== 'skipped'))
      }
    }),
  )
})
