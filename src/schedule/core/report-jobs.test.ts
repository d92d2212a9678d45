import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { EpochMs } from '../../std/clock.ts'
import { freshLedger } from './ledger.ts'
import type { JobLedger, JobRun } from './ledger.ts'
import { jobProblems, reportJob } from './report-jobs.ts'
import type { JobFacts } from './report-jobs.ts'

const hourMs = 3_600_000
const time = (hours: number): EpochMs => (hours * hourMs) as EpochMs
const due = time(100)

function run(outcome: JobRun['outcome'], startedAt: EpochMs): JobRun {
  return {
    cause: 'schedule',
    moment: due,
    attempt: 1,
    startedAt,
    durationMs: hourMs,
    node: 'n1',
    outcome,
    exitCode: 0,
    sizeBytes: 1,
    error: outcome === 'ok' ? null : 'no answer',
  }
}

function facts(now: EpochMs, ledger: Partial<JobLedger>, runBy: 'agent' | 'system' = 'agent'): JobFacts {
  return {
    name: 'backup',
    schedule: { expression: '0 4 * * *', timeZone: 'UTC', jitterMs: 0, seed: 'x', passed: [due], next: time(124) },
    followsBackup: false,
    runBy,
    ledger: { ...freshLedger(time(99), null), ...ledger },
    now,
  }
}

const problems = (given: JobFacts): readonly string[] => jobProblems(reportJob(given), (at) => `at ${at / hourMs}`)

describe('a moment that has come', () => {
  test('is overdue when nobody has begun for minutes', () => {
    assert.deepEqual(problems(facts(time(100.05), {})), [])
    assert.deepEqual(problems(facts(time(101), {})), ['backup overdue: it was due at 100'])
  })

  test('is not overdue while it is run, however long that takes', () => {
    const running = {
      cause: 'schedule',
      moment: due,
      attempt: 1,
      startedAt: due,
      node: 'n1',
      runner: 'a',
      seenAt: null,
    } as const
    assert.deepEqual(problems(facts(time(120), { running })), [])
  })

  test('of somebody else is overdue when nothing has come of it for an hour and twice the usual time', () => {
    const runs = [run('ok', time(76))]
    assert.deepEqual(problems(facts(time(102.9), { runs }, 'system')), [])
    assert.deepEqual(problems(facts(time(103.1), { runs }, 'system')), ['backup overdue: it was due at 100'])
  })
})

test('a failure is told until a run goes well, and so are missed runs', () => {
  const missed = [
    { from: time(52), to: time(76), count: 2, exact: true, because: 'too-late', reportedAt: time(90) },
  ] as const
  const past = { ...facts(time(101), {}), schedule: null }
  const ledger = { ...freshLedger(due, null), missed }
  assert.deepEqual(problems({ ...past, ledger: { ...ledger, runs: [run('failed', due)] } }), [
    'the last backup failed (at 100): no answer',
    '2 runs of backup missed, the last due at 76: nobody could run it in time',
  ])
  assert.deepEqual(problems({ ...past, ledger: { ...ledger, runs: [run('ok', due)] } }), [])
})
