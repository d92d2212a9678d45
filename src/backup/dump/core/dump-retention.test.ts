import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import type { RetentionPolicy } from '../../../repository/core/retention.ts'
import type { EpochMs } from '../../../std/clock.ts'
import { decideDumpRetention } from './dump-retention.ts'
import type { DatedDump } from './dump-retention.ts'

const dayMs = 86_400_000
const now = (1000 * dayMs) as EpochMs
const none: RetentionPolicy = { days: 0, count: 0, daily: 0, weekly: 0, monthly: 0, yearly: 0 }

function dump(database: string | null, daysAgo: number): DatedDump {
  return { file: `${database}-${daysAgo}`, database, endedAt: (now - daysAgo * dayMs) as EpochMs }
}

function kept(dumps: readonly DatedDump[], policy: Partial<RetentionPolicy>): readonly string[] {
  const verdicts = decideDumpRetention(dumps, { policy: { ...none, ...policy }, now })
  return verdicts.flatMap((verdict) => (verdict.keep ? [`${verdict.dump.file}: ${verdict.because.join('; ')}`] : []))
}

test('each database keeps its own newest dumps, and the roles theirs', () => {
  const dumps = [dump('app', 1), dump('app', 2), dump('app', 3), dump('old', 400), dump(null, 2), dump(null, 9)]
  assert.deepEqual(kept(dumps, { count: 1 }), [
    'old-400: one of the newest 1 of old',
    'null-2: one of the newest 1 of the roles',
    'app-1: one of the newest 1 of app',
  ])
})

test('every rule that keeps a dump is named', () => {
  const dumps = [dump('app', 0.5), dump('app', 40), dump('app', 41)]
  assert.deepEqual(kept(dumps, { days: 30, count: 1, monthly: 2 }), [
    'app-40: the newest of app of the month 1972-08',
    'app-0.5: within 30 days; one of the newest 1 of app; the newest of app of the month 1972-09',
  ])
})

test('a rule more never lets a dump go, and without rules all go', () => {
  const dumps = fc.array(fc.tuple(fc.constantFrom('a', 'b', null), fc.integer({ min: 0, max: 900 })), { maxLength: 30 })
  const amount = fc.integer({ min: 0, max: 5 })
  const policies = fc.record({
    days: fc.integer({ min: 0, max: 60 }),
    count: amount,
    daily: amount,
    weekly: amount,
    monthly: amount,
    yearly: amount,
  })
  fc.assert(
    fc.property(
      dumps,
      policies,
      fc.constantFrom(...(Object.keys(none) as (keyof RetentionPolicy)[])),
      (given, policy, rule) => {
        const all = given.map(([database, daysAgo]) => dump(database, daysAgo))
        const files = (chosen: RetentionPolicy): readonly string[] =>
          decideDumpRetention(all, { policy: chosen, now }).flatMap(({ keep, dump: { file } }) => (keep ? [file] : []))
        const more = new Set(files({ ...policy, [rule]: policy[rule] + 1 }))
        for (const file of files(policy)) assert.ok(more.has(file))
        assert.deepEqual(files(none), [])
      },
    ),
  )
})
