import type { EpochMs } from '../../std/clock.ts'
import { jitterOf } from './jitter.ts'
import { freshLedger, keptGaps, keptMissed, keptRuns } from './ledger.ts'
import type { JobLedger, JobOrder, JobRun, Ledger, MissedMoments, Retry, RunOutcome, RunningJob } from './ledger.ts'

/**
 * Which jobs to begin now, and which moments are reported missed. Whoever leads asks this, writes the new ledger on
 * condition that nobody else has written meanwhile, and only then begins. So each moment of a schedule comes to one end:
 * it is run (again, where a run failed or was cut short), or it is reported missed, once.
 */
export interface JobsView {
  readonly now: EpochMs
  readonly node: string
  /** This process: runs of another life of an agent, or of another leader, have been cut short. */
  readonly runner: string
  readonly jobs: readonly JobView[]
  readonly ledger: Ledger
}

export interface JobView {
  readonly name: string
  /** Null: it has none. `elsewhere`: the system's own scheduler runs it, through `holdfast schedule run`. */
  readonly schedule: Schedule | null | 'elsewhere'
  /** The repository that a first run is wanted for; null when none is. */
  readonly firstFor: string | null
  /** Gaps that are known now: each wants one run. */
  readonly gaps: readonly string[]
}

export interface Schedule {
  /** Expression and time zone. */
  readonly text: string
  readonly jitterMs: number
  /** Different in every cluster. */
  readonly seed: string
  /** How late a run may still begin. */
  readonly makeUpWithinMs: number
  /** The moments after `settledTo` of the job's ledger and not after now, ascending, without the oldest of too many. */
  readonly passed: readonly EpochMs[]
  /** Whether `passed` are all of them. */
  readonly exact: boolean
  /** The first after both. */
  readonly next: EpochMs | null
}

export interface JobsDecision {
  readonly ledger: Ledger
  readonly start: readonly { readonly job: string; readonly order: JobOrder }[]
  readonly news: readonly JobNews[]
  /** When to ask again at the latest, if nothing happens; null: no need. */
  readonly wakeAt: EpochMs | null
}

export type JobNews =
  | { readonly news: 'missed'; readonly job: string; readonly missed: MissedMoments }
  | { readonly news: 'ended'; readonly job: string; readonly run: JobRun }
  | { readonly news: 'clock-set-back'; readonly job: string; readonly byMs: number }

/** Waits between tries of one run; there is one try more than waits. */
export const retryWaitsMs: readonly number[] = [60_000, 300_000, 900_000, 3_600_000]
export const mostAttempts: number = retryWaitsMs.length + 1
/** A run of `holdfast schedule run` that has said nothing for so long has died. */
export const silenceMs = 60_000
/** A ledger that is further ahead than this was written by a wrong clock. */
const trustedAheadMs = 86_400_000

export function decideJobs(view: JobsView): JobsDecision {
  const decisions = view.jobs.map((job) => decideJob(view, job))
  const wakes = decisions.flatMap(({ wakeAt }) => (wakeAt === null ? [] : [wakeAt]))
  return {
    // Jobs that only another version knows stay as they are.
    ledger: { ...view.ledger, ...Object.fromEntries(decisions.map(({ job, ledger }) => [job, ledger])) },
    start: decisions.flatMap(({ job, order }) => (order === null ? [] : [{ job, order }])),
    news: decisions.flatMap(({ news }) => news),
    wakeAt: wakes.length === 0 ? null : (Math.min(...wakes) as EpochMs),
  }
}

interface Case {
  readonly job: string
  ledger: JobLedger
  order: JobOrder | null
  readonly news: JobNews[]
  wakeAt: EpochMs | null
}

function decideJob(view: JobsView, job: JobView): Case {
  const { now } = view
  const present = view.ledger[job.name]
  const one: Case = { job: job.name, ledger: present ?? freshLedger(now, null), order: null, news: [], wakeAt: null }
  const schedule = adopt(one, job.schedule, now)
  endLostRun(one, view, job.schedule !== 'elsewhere')
  noticeGaps(one, job.gaps, now)
  if (one.ledger.running === null) {
    one.order = dueOrder(one, schedule, now) ?? retryOrder(one, schedule, now) ?? wantedOrder(one, job, now)
  }
  if (one.order !== null) claim(one, one.order, job, view)
  one.wakeAt = wakeAt(one.ledger, schedule, now)
  return one
}

/** Takes note of another schedule, and of a clock that was wrong. Gives the schedule with the moments that count. */
function adopt(one: Case, schedule: JobView['schedule'], now: EpochMs): Schedule | null {
  if (schedule === 'elsewhere') return null
  const { ledger, job } = one
  const text = schedule?.text ?? null
  const byMs = ledger.settledTo - now
  if (ledger.schedule === text && byMs <= trustedAheadMs) return schedule
  if (ledger.schedule === text) one.news.push({ news: 'clock-set-back', job, byMs })
  one.ledger = { ...ledger, schedule: text, settledTo: now }
  return schedule === null ? null : { ...schedule, passed: [], exact: true }
}

/** What another life of an agent began did not come to its end. */
function endLostRun(one: Case, { now, runner }: JobsView, ours: boolean): void {
  const { running } = one.ledger
  if (running === null || running.runner === runner) return
  if (running.seenAt !== null && Math.abs(now - running.seenAt) <= silenceMs) return
  const end: RunEnd = {
    outcome: 'interrupted',
    exitCode: null,
    sizeBytes: null,
    error: 'whoever ran it has ended',
    retry: ours || running.moment === null,
  }
  const ended = endRun(one.ledger, running, { ...end, now, durationMs: Math.max(0, now - running.startedAt) })
  one.ledger = ended.ledger
  tell(one, ended)
}

function noticeGaps(one: Case, gaps: readonly string[], now: EpochMs): void {
  const fresh = gaps.filter((gap) => !one.ledger.gaps.includes(gap))
  if (fresh.length === 0) return
  const known = [...one.ledger.gaps, ...fresh].slice(-keptGaps)
  one.ledger = { ...one.ledger, gaps: known, wanted: { cause: 'gap', since: now } }
}

function dueOrder(one: Case, schedule: Schedule | null, now: EpochMs): JobOrder | null {
  const due = schedule?.passed.filter((moment) => moment + jitterOf(moment, schedule) <= now) ?? []
  const newest = due.at(-1)
  if (schedule === null || newest === undefined) return null
  const inTime = now - newest - jitterOf(newest, schedule) <= schedule.makeUpWithinMs
  // Those before it whose delay is not over are settled with it.
  const settled = schedule.passed.slice(0, schedule.passed.indexOf(newest) + 1)
  const left = inTime ? settled.slice(0, -1) : settled
  const because = inTime ? 'superseded' : 'too-late'
  const [from] = left
  if (from !== undefined) {
    miss(one, {
      from: schedule.exact ? from : one.ledger.settledTo,
      to: left.at(-1) ?? from,
      count: left.length,
      exact: schedule.exact,
      because,
      reportedAt: now,
    })
  }
  one.ledger = { ...one.ledger, settledTo: newest }
  return inTime ? { cause: 'schedule', moment: newest, attempt: 1 } : null
}

function retryOrder(one: Case, schedule: Schedule | null, now: EpochMs): JobOrder | null {
  const { retry } = one.ledger
  if (retry === null) return null
  const { cause, moment, attempt, notBefore } = retry
  if (moment !== null && schedule !== null && now - moment - schedule.jitterMs > schedule.makeUpWithinMs) {
    dropRetry(one, 'too-late', now)
    return null
  }
  return notBefore <= now ? { cause, moment, attempt: attempt + 1 } : null
}

function wantedOrder(one: Case, job: JobView, now: EpochMs): JobOrder | null {
  const { wanted, retry, firstFor } = one.ledger
  if (wanted !== null) return { cause: wanted.cause, moment: null, attempt: 1 }
  if (retry !== null || job.firstFor === null || firstFor === job.firstFor) return null
  one.ledger = { ...one.ledger, wanted: { cause: 'first', since: now } }
  return { cause: 'first', moment: null, attempt: 1 }
}

function claim(one: Case, order: JobOrder, job: JobView, { now, node, runner }: JobsView): void {
  // A first run looks whether there is a backup and is content with an old one.
  const wanted = one.ledger.wanted
  const cause = order.cause === 'first' && wanted !== null ? wanted.cause : order.cause
  one.order = { ...order, cause }
  const running: RunningJob = { ...one.order, startedAt: now, node, runner, seenAt: null }
  if (one.ledger.retry !== null && one.ledger.retry.moment !== order.moment) dropRetry(one, 'superseded', now)
  one.ledger = { ...one.ledger, running, retry: null, wanted: null, firstFor: job.firstFor ?? one.ledger.firstFor }
}

/** A moment whose last try was cut short has not been run, and will not be any more. */
function dropRetry(one: Case, because: MissedMoments['because'], now: EpochMs): void {
  const { retry } = one.ledger
  if (retry === null) return
  one.ledger = { ...one.ledger, retry: null }
  if (retry.lastOutcome === 'interrupted' && retry.moment !== null) miss(one, missedMoment(retry.moment, because, now))
}

function miss(one: Case, missed: MissedMoments): void {
  one.ledger = { ...one.ledger, missed: [missed, ...one.ledger.missed].slice(0, keptMissed) }
  one.news.push({ news: 'missed', job: one.job, missed })
}

function tell(one: Case, { run, missed }: EndedRun): void {
  one.news.push({ news: 'ended', job: one.job, run })
  if (missed !== null) one.news.push({ news: 'missed', job: one.job, missed })
}

function wakeAt(ledger: JobLedger, schedule: Schedule | null, now: EpochMs): EpochMs | null {
  const { running, retry } = ledger
  if (running !== null) return running.seenAt === null ? null : ((running.seenAt + silenceMs + 1) as EpochMs)
  const open = schedule === null ? [] : schedule.passed.filter((moment) => moment > ledger.settledTo)
  if (schedule !== null && schedule.next !== null) open.push(schedule.next)
  const times = schedule === null ? [] : open.map((moment) => moment + jitterOf(moment, schedule))
  if (retry !== null) times.push(retry.notBefore)
  const [first] = times.filter((time) => time > now).toSorted((a, b) => a - b)
  return first === undefined ? null : (first as EpochMs)
}

/** How a run came to its end. */
export interface RunEnd {
  readonly outcome: RunOutcome
  readonly exitCode: number | null
  readonly sizeBytes: number | null
  readonly error: string | null
  /** Whether another try may do better. */
  readonly retry: boolean
}

export interface EndedRun {
  readonly ledger: JobLedger
  readonly run: JobRun
  readonly missed: MissedMoments | null
}

/** Records the end of a run, and whether it is tried again. */
export function endRun(
  ledger: JobLedger,
  running: RunningJob,
  end: RunEnd & { readonly now: EpochMs; readonly durationMs: number },
): EndedRun {
  const { now, durationMs, retry: worthwhile, ...result } = end
  const { cause, moment, attempt, startedAt, node } = running
  const run: JobRun = { cause, moment, attempt, startedAt, node, durationMs: Math.round(durationMs), ...result }
  const good = end.outcome === 'ok' || end.outcome === 'degraded'
  const again = !good && worthwhile && attempt < mostAttempts
  // What was cut short is made up at once; what failed may need time to get better.
  const waitMs = end.outcome === 'interrupted' ? 0 : (retryWaitsMs[attempt - 1] ?? 0)
  const retry: Retry | null = again
    ? { cause, moment, attempt, notBefore: (now + waitMs) as EpochMs, lastOutcome: end.outcome }
    : null
  const lost = end.outcome === 'interrupted' && !again && moment !== null
  const missed = lost ? missedMoment(moment, 'interrupted', now) : null
  return {
    ledger: {
      ...ledger,
      running: null,
      retry,
      runs: [run, ...ledger.runs].slice(0, keptRuns),
      missed: missed === null ? ledger.missed : [missed, ...ledger.missed].slice(0, keptMissed),
    },
    run,
    missed,
  }
}

function missedMoment(moment: EpochMs, because: MissedMoments['because'], now: EpochMs): MissedMoments {
  return { from: moment, to: moment, count: 1, exact: true, because, reportedAt: now }
}
