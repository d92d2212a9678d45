import type { EpochMs } from '../../std/clock.ts'
import { jitterOf } from './jitter.ts'
import type { JobLedger, JobRun, MissedMoments, Retry, RunningJob } from './ledger.ts'

/** What `holdfast schedule` and `holdfast status` tell of a job. */
export interface JobReport {
  readonly name: string
  /** As configured; null: it has no moments of its own. */
  readonly schedule: { readonly expression: string; readonly timeZone: string } | null
  readonly followsBackup: boolean
  readonly runBy: 'agent' | 'system'
  /** When the next run begins, its jitter included; null: there is none. */
  readonly next: EpochMs | null
  readonly running: RunningJob | null
  readonly retry: Retry | null
  readonly last: JobRun | null
  /** Reported since the last run that came to a good end. */
  readonly missed: readonly MissedMoments[]
  /** The moment that has come and that nothing was done about; null when there is none. */
  readonly overdueSince: EpochMs | null
}

export interface JobFacts {
  readonly name: string
  readonly schedule: {
    readonly expression: string
    readonly timeZone: string
    readonly jitterMs: number
    readonly seed: string
    /** After what has been settled, ascending. */
    readonly passed: readonly EpochMs[]
    readonly next: EpochMs | null
  } | null
  readonly followsBackup: boolean
  readonly runBy: 'agent' | 'system'
  /** Undefined: nobody has written of this job yet. */
  readonly ledger: JobLedger | undefined
  readonly now: EpochMs
}

/** The agent begins within seconds. */
const agentToleranceMs = 300_000
/** What others run is known only by what comes of it, when it has ended. */
const systemToleranceMs = 3_600_000

export function reportJob(facts: JobFacts): JobReport {
  const { name, schedule, followsBackup, runBy, ledger } = facts
  const good = ledger?.runs.find(({ outcome }) => outcome === 'ok' || outcome === 'degraded')
  const goodAt = good === undefined ? 0 : good.startedAt + good.durationMs
  return {
    name,
    schedule: schedule === null ? null : { expression: schedule.expression, timeZone: schedule.timeZone },
    followsBackup,
    runBy,
    next:
      schedule === null || schedule.next === null
        ? null
        : ((schedule.next + jitterOf(schedule.next, schedule)) as EpochMs),
    running: ledger?.running ?? null,
    retry: ledger?.retry ?? null,
    last: ledger?.runs[0] ?? null,
    missed: ledger?.missed.filter(({ reportedAt }) => reportedAt > goodAt) ?? [],
    overdueSince: overdueSince(facts),
  }
}

function overdueSince({ schedule, runBy, ledger, now }: JobFacts): EpochMs | null {
  if (schedule === null || (ledger?.running ?? null) !== null) return null
  const longestMs = Math.max(0, ...(ledger?.runs ?? []).map(({ durationMs }) => durationMs))
  const toleranceMs = runBy === 'agent' ? agentToleranceMs : systemToleranceMs + 2 * longestMs
  return schedule.passed.find((moment) => moment + schedule.jitterMs + toleranceMs < now) ?? null
}

/** What is wrong with a job, in sentences for people. `when` writes a moment and how long ago it was. */
export function jobProblems(job: JobReport, when: (moment: EpochMs) => string): readonly string[] {
  const problems: string[] = []
  const { name, overdueSince, last, retry, missed } = job
  if (overdueSince !== null) problems.push(`${name} overdue: it was due ${when(overdueSince)}`)
  if (last !== null && last.outcome !== 'ok' && job.running === null) {
    const again = retry === null ? '' : '; it is tried again'
    problems.push(`the last ${name} ${outcomeWords[last.outcome]} (${when(last.startedAt)}): ${last.error}${again}`)
  }
  for (const { count, exact, to, because } of missed) {
    const runs = `${exact ? '' : 'at least '}${count} run${count === 1 ? '' : 's'} of ${name}`
    problems.push(`${runs} missed, the last due ${when(to)}: ${reasonWords[because]}`)
  }
  return problems
}

const outcomeWords = {
  ok: 'went well',
  degraded: 'is done, but not all is well',
  failed: 'failed',
  interrupted: 'was cut short',
} as const

export const reasonWords = {
  'too-late': 'nobody could run it in time',
  superseded: 'a later one was run instead',
  interrupted: 'every try was cut short',
} as const
