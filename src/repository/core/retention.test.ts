import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import type { EpochMs } from '../../std/clock.ts'
import type { Lsn, TimelineId } from '../../wal/core/lsn.ts'
import { firstTimelineHistory, timelinePath, type TimelineHistory } from '../../wal/core/timeline-history.ts'
import { decideRetention, type RetentionBackup, type RetentionPolicy, type RetentionQuestion } from './retention.ts'
import { isNeeded, neededWal } from './wal-needs.ts'

const dayMs = 86_400_000
const now = Date.parse('2026-11-22T12:00:00Z') as EpochMs
const nothing: RetentionPolicy = { days: 0, count: 0, daily: 0, weekly: 0, monthly: 0, yearly: 0 }
const segmentBytes = 2 ** 20

function lsn(segment: number): Lsn {
  return BigInt(Math.round(segment * segmentBytes)) as Lsn
}

/** A backup that ended so many days ago. */
function backup(daysAgo: number, over: Partial<RetentionBackup> = {}): RetentionBackup {
  const start = 1000 - Math.round(daysAgo)
  return {
    id: `b${daysAgo}`,
    timeline: 1 as TimelineId,
    startLsn: lsn(start),
    stopLsn: lsn(start + 0.5),
    stoppedAt: (now - daysAgo * dayMs) as EpochMs,
    restorable: true,
    ...over,
  }
}

function decide(
  policy: Partial<RetentionPolicy>,
  backups: readonly RetentionBackup[],
  more: Partial<RetentionQuestion> = {},
) {
  return decideRetention({
    policy: { ...nothing, ...policy },
    backups,
    latestPath: timelinePath(firstTimelineHistory()),
    holds: new Map(),
    parents: new Map(),
    first: new Set(),
    now,
    ...more,
  })
}

const kept = (decisions: ReturnType<typeof decide>): string[] =>
  decisions.filter(({ keep }) => keep).map(({ backup: id }) => id)

test('days keep every backup in them and one before, at which the window begins', () => {
  const decisions = decide(
    { days: 7 },
    [40, 20, 8, 7, 3, 1].map((days) => backup(days)),
  )
  assert.deepEqual(kept(decisions), ['b8', 'b7', 'b3', 'b1'])
  assert.deepEqual(
    decisions.map(({ wal }) => wal),
    ['none', 'none', 'onwards', 'onwards', 'onwards', 'onwards'],
  )
  assert.deepEqual(decisions[2]?.because, ['the window of 7 days begins in it'])
  assert.deepEqual(decisions[0]?.because, ['ended 40 days ago, and no rule keeps it'])
})

test('a backup that cannot be restored does not begin the window, nor does it count', () => {
  const broken = backup(8, { restorable: false })
  assert.deepEqual(kept(decide({ days: 7 }, [backup(40), backup(20), broken, backup(3)])), ['b20', 'b3'])
  assert.deepEqual(kept(decide({ count: 2 }, [backup(40), backup(20), broken, backup(3)])), ['b20', 'b3'])
})

test('without any rule the newest stays, and the newest that can be restored', () => {
  assert.deepEqual(kept(decide({}, [backup(9), backup(5)])), ['b5'])
  assert.deepEqual(kept(decide({}, [backup(9), backup(5), backup(1, { restorable: false })])), ['b5', 'b1'])
})

test('which backup is the newest is said by the WAL, not by a clock that stepped', () => {
  const stepped = backup(1, { stoppedAt: (now - 50 * dayMs) as EpochMs })
  assert.deepEqual(kept(decide({}, [backup(9), backup(5), stepped])), ['b1'])
  assert.deepEqual(kept(decide({ count: 2 }, [backup(9), backup(5), stepped])), ['b1', 'b5'])
})

test('the newest on the way to the newest timeline stays, though one of a branch that was left is younger', () => {
  const history: TimelineHistory = {
    timeline: 2 as TimelineId,
    ancestors: [{ timeline: 1 as TimelineId, switchLsn: lsn(995), reason: '' }],
  }
  const decisions = decide({}, [backup(9), backup(6), backup(2)], { latestPath: timelinePath(history) })
  assert.deepEqual(kept(decisions), ['b6', 'b2'])
})

test('the calendar keeps the newest of each day, week, month and year that has one', () => {
  const backups = [800, 420, 70, 45, 33, 9, 8, 2.3, 2.1, 0.3, 0.2].map((days) => backup(days))
  assert.deepEqual(kept(decide({ daily: 3 }, backups)), ['b8', 'b2.1', 'b0.2'])
  // 2026-11-22 is a Sunday: 8 and 9 days ago are in the week before.
  assert.deepEqual(kept(decide({ weekly: 2 }, backups)), ['b8', 'b0.2'])
  assert.deepEqual(kept(decide({ monthly: 3 }, backups)), ['b70', 'b33', 'b0.2'])
  assert.deepEqual(kept(decide({ yearly: 3 }, backups)), ['b800', 'b420', 'b0.2'])
  const decisions = decide({ monthly: 3 }, backups)
  assert.deepEqual(
    decisions.find(({ backup: id }) => id === 'b33'),
    {
      backup: 'b33',
      keep: true,
      wal: 'own',
      because: ['the newest of the month 2026-10'],
    },
  )
})

test('a hold and a running child keep a backup with its own WAL, and say so', () => {
  const decisions = decide({}, [backup(90), backup(60), backup(1)], {
    holds: new Map([['b90', 'audit']]),
    parents: new Map([['b60', 'b0']]),
  })
  assert.deepEqual(
    decisions.map(({ wal, because }) => [wal, because[0]]),
    [
      ['own', 'held: audit'],
      ['own', 'backup b0, which is being taken, builds on it'],
      ['onwards', 'the newest backup that can be restored'],
    ],
  )
})

test('L6: whatever the rules are, each only keeps more, and the newest that can be restored stays', () => {
  const policies = fc.record({
    days: fc.nat(40),
    count: fc.nat(5),
    daily: fc.nat(5),
    weekly: fc.nat(5),
    monthly: fc.nat(5),
    yearly: fc.nat(3),
  })
  const backups = fc
    .uniqueArray(fc.tuple(fc.nat(900), fc.boolean()), { selector: ([days]) => days, maxLength: 25 })
    .map((list) => list.map(([days, restorable]) => backup(days, { restorable })))
  fc.assert(
    fc.property(
      policies,
      backups,
      fc.constantFrom<keyof RetentionPolicy>('days', 'count', 'daily', 'yearly'),
      (policy, all, rule) => {
        const stays = kept(decide(policy, all))
        const more = kept(decide({ ...policy, [rule]: policy[rule] + 3 }, all))
        // A window that begins earlier may begin in another backup; what is in it stays.
        const begins = (id: string): boolean =>
          decide(policy, all).some((d) => d.backup === id && d.because.every((why) => why.includes('begins')))
        for (const id of stays) assert.ok(more.includes(id) || begins(id), `${id} with more of ${rule}`)
        const newest = all.filter(({ restorable }) => restorable).toSorted((a, b) => b.stoppedAt - a.stoppedAt)[0]
        if (newest !== undefined) assert.ok(stays.includes(newest.id))
        const begin = now - policy.days * dayMs
        const before = all.filter(({ restorable, stoppedAt }) => restorable && stoppedAt < begin)
        if (policy.days > 0 && before.length > 0) {
          const start = Math.max(...before.map(({ stoppedAt }) => stoppedAt))
          assert.ok(
            stays.includes(before.find(({ stoppedAt }) => stoppedAt === start)?.id ?? ''),
            'the window has a beginning',
          )
        }
      },
    ),
  )
})

test('WAL stays from a backup on along every timeline that can be reached, and for the others their own', () => {
  const fork = (timeline: number, ...ancestors: [number, number][]): TimelineHistory => ({
    timeline: timeline as TimelineId,
    ancestors: ancestors.map(([id, at]) => ({ timeline: id as TimelineId, switchLsn: lsn(at), reason: '' })),
  })
  const histories = [fork(1), fork(2, [1, 20.5]), fork(3, [1, 10.5])]
  const timelines = [1, 2, 3].map((id) => id as TimelineId)
  const needs = [
    { timeline: 1 as TimelineId, startLsn: lsn(2), stopLsn: lsn(3.5), wal: 'own' },
    { timeline: 1 as TimelineId, startLsn: lsn(6), stopLsn: lsn(6.5), wal: 'none' },
    { timeline: 1 as TimelineId, startLsn: lsn(12), stopLsn: lsn(12.5), wal: 'onwards' },
  ] as const
  const needed = (id: number, segment: number, from = needs as Parameters<typeof neededWal>[0]): boolean =>
    isNeeded(
      { timeline: id as TimelineId, startLsn: lsn(segment) },
      neededWal(from, { timelines, histories }),
      segmentBytes,
    )
  const stays = (id: number): number[] => Array.from({ length: 30 }, (_, at) => at).filter((at) => needed(id, at))
  const range = (from: number, to: number): number[] => Array.from({ length: to - from + 1 }, (_, at) => from + at)
  assert.deepEqual(stays(1), [2, 3, ...range(12, 29)], 'past the fork too: that way can be gone from the backup')
  assert.deepEqual(stays(2), range(20, 29), 'from the segment in which it forked')
  assert.deepEqual(stays(3), range(0, 29), 'the newest timeline, which no backup leads to, stays whole')
  const later = { timeline: 3 as TimelineId, startLsn: lsn(15), stopLsn: lsn(16), wal: 'onwards' } as const
  assert.equal(needed(3, 14, [...needs, later]), false)
  assert.equal(needed(3, 15, [...needs, later]), true)
})

test('WAL of a timeline whose history is not known stays whole', () => {
  const known = { timelines: [1 as TimelineId, 2 as TimelineId, 3 as TimelineId], histories: [firstTimelineHistory()] }
  const needs = [{ timeline: 1 as TimelineId, startLsn: lsn(12), stopLsn: lsn(13), wal: 'onwards' }] as const
  assert.ok(isNeeded({ timeline: 2 as TimelineId, startLsn: lsn(1) }, neededWal(needs, known), segmentBytes))
})

test('while the newest backup has damaged pages, the last one without any stays', () => {
  const bad = { damaged: true }
  const backups = [backup(40), backup(30), backup(20, bad), backup(10, bad)]
  const decisions = decide({ count: 1 }, backups)
  assert.deepEqual(kept(decisions), ['b30', 'b10'])
  assert.deepEqual(decisions[1]?.because, ['the last backup without damaged pages'])
  assert.deepEqual(kept(decide({ count: 1 }, [...backups, backup(1)])), ['b1'])
  assert.deepEqual(kept(decide({ count: 1 }, [backup(20, bad), backup(10, bad)])), ['b10'])
})
