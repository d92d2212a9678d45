import { createWakeup } from '../cluster/agent/wakeup.ts'
import type { Clock } from '../std/clock.ts'
import type { Log } from '../std/log.ts'
import type { Job } from './job.ts'
import { decideJobs } from './core/decide-jobs.ts'
import type { JobNews, JobView, RunEnd } from './core/decide-jobs.ts'
import { encodeLedger } from './core/ledger.ts'
import type { JobOrder, Ledger } from './core/ledger.ts'
import { readLedger, writeLedger } from './ledger-store.ts'
import { momentsOf, scheduleText } from './moments.ts'
import { recordEnd } from './record-end.ts'
import type { Recorder } from './record-end.ts'

/** A clock that was set, or a ledger that somebody else wrote, is noticed at the latest after this. */
const longestWaitMs = 60_000
const afterErrorMs = 5000

export interface SchedulesOptions extends Recorder {
  /** Different in every life of an agent and in every term. */
  readonly runner: string
  readonly run: (job: Job, order: JobOrder, signal: AbortSignal) => Promise<RunEnd & { readonly durationMs: number }>
  readonly clock: Clock
  readonly log: Log
}

export interface Schedules {
  /** Gaps in the archived WAL that are known now, each by a name of its own. */
  noteGaps(gaps: readonly string[]): void
  /** Runs what is due until the signal aborts, and resolves when no job runs any more. */
  keep(signal: AbortSignal): Promise<void>
}

/** The jobs of a cluster, run while this node leads. Never rejects: what goes wrong is logged and tried again. */
export function createSchedules(options: SchedulesOptions): Schedules {
  const { clock, log, runner, leader, cluster, coordinator } = options
  const wakeup = createWakeup(clock)
  const running = new Set<Promise<void>>()
  let gaps: readonly string[] = []

  async function cycle(signal: AbortSignal): Promise<number> {
    const { ledger, revision, unreadable } = await readLedger(coordinator, cluster, signal)
    if (unreadable !== null)
      log.error('the ledger of the jobs cannot be read and is begun anew', { reason: unreadable })
    const now = clock.wall()
    const jobs = options.jobs.map((job) => jobView(job, { ledger, now, gaps, cluster }))
    const decision = decideJobs({ now, node: leader.node, runner, jobs, ledger })
    if (encodeLedger(decision.ledger) !== encodeLedger(ledger)) {
      const result = await writeLedger(coordinator, { cluster, leader, ledger: decision.ledger, revision }, signal)
      if (result !== 'written') return result === 'changed' ? 0 : afterErrorMs
    }
    for (const item of decision.news) tellNews(log, item)
    for (const { job, order } of decision.start) begin(job, order, signal)
    return Math.min(longestWaitMs, Math.max(0, (decision.wakeAt ?? Number.POSITIVE_INFINITY) - clock.wall()))
  }

  function begin(name: string, order: JobOrder, signal: AbortSignal): void {
    const job = options.jobs.find((known) => known.name === name)
    if (job === undefined) return
    const { cause, moment, attempt } = order
    log.info('job started', {
      job: name,
      cause,
      attempt,
      moment: moment === null ? null : new Date(moment).toISOString(),
    })
    const work = options
      .run(job, order, signal)
      .then((end) => record(job, end, signal))
      .catch((error: unknown) => log.error('the end of a job could not be recorded', { job: name, error }))
      .finally(() => {
        running.delete(work)
        wakeup.wake()
      })
    running.add(work)
  }

  /** What ended with the leadership is recorded by the next leader, who finds it unfinished. */
  async function record(job: Job, end: RunEnd & { readonly durationMs: number }, signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      try {
        const ended = await recordEnd(options, job, end, signal)
        if (ended === 'lost') return
        tellNews(log, { news: 'ended', job: job.name, run: ended.run })
        if (ended.missed !== null) tellNews(log, { news: 'missed', job: job.name, missed: ended.missed })
        return
      } catch (error) {
        if (signal.aborted) return
        log.warn('the end of a job cannot be recorded yet', { job: job.name, error })
        await clock.sleep(afterErrorMs, { signal }).catch(() => undefined)
      }
    }
  }

  return {
    noteGaps: (known) => {
      if (known.length === gaps.length && known.every((gap) => gaps.includes(gap))) return
      gaps = [...known]
      wakeup.wake()
    },
    keep: async (signal) => {
      const stop = (): void => wakeup.wake()
      signal.addEventListener('abort', stop, { once: true })
      while (!signal.aborted) {
        const waitMs = await cycle(signal).catch((error: unknown) => {
          if (!signal.aborted) log.warn('the jobs cannot be looked at', { error })
          return afterErrorMs
        })
        if (!signal.aborted) await wakeup.sleep(waitMs)
      }
      signal.removeEventListener('abort', stop)
      await Promise.all(running)
    },
  }
}

export function jobView(
  job: Job,
  {
    ledger,
    now,
    gaps,
    cluster,
  }: {
    readonly ledger: Ledger
    readonly now: ReturnType<Clock['wall']>
    readonly gaps: readonly string[]
    readonly cluster: string
  },
): JobView {
  const { name, schedule } = job
  const settledTo = ledger[name]?.settledTo ?? now
  return {
    name,
    firstFor: job.firstFor,
    gaps: job.firstFor === null ? [] : gaps,
    schedule:
      schedule === null
        ? null
        : job.runBy === 'system'
          ? 'elsewhere'
          : {
              text: scheduleText(schedule),
              jitterMs: schedule.jitterMs,
              makeUpWithinMs: schedule.makeUpWithinMs,
              seed: `${cluster} ${name}`,
              ...momentsOf(schedule, { settledTo, now }),
            },
  }
}

/** R3.8: every job with time, duration, size and outcome. */
export function tellNews(log: Log, item: JobNews): void {
  const { job } = item
  switch (item.news) {
    case 'ended': {
      const { outcome, cause, attempt, startedAt, durationMs, sizeBytes, exitCode, error } = item.run
      const level = outcome === 'ok' ? 'info' : outcome === 'failed' ? 'error' : 'warn'
      const at = new Date(startedAt).toISOString()
      log[level]('job ended', {
        job,
        outcome,
        cause,
        attempt,
        startedAt: at,
        durationMs,
        sizeBytes,
        exitCode,
        reason: error,
      })
      return
    }
    case 'missed': {
      const { from, to, count, exact, because } = item.missed
      const range = { from: new Date(from).toISOString(), to: new Date(to).toISOString() }
      log.error('runs of a job were missed', { job, ...range, count, exact, because })
      return
    }
    case 'clock-set-back':
      log.warn('the clock was set back, and the schedule goes on from now', { job, byMs: item.byMs })
      return
    default:
      item satisfies never
  }
}
