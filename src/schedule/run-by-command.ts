import type { LeaderEntry } from '../cluster/core/keys.ts'
import type { Coordinator } from '../coordinator/coordinator.ts'
import type { Clock } from '../std/clock.ts'
import { Fault } from '../std/fault.ts'
import { decideJobs, silenceMs } from './core/decide-jobs.ts'
import type { RunEnd } from './core/decide-jobs.ts'
import { freshLedger } from './core/ledger.ts'
import type { JobLedger, JobOrder, JobRun, Ledger } from './core/ledger.ts'
import { scheduleFaults } from './faults.ts'
import type { Job } from './job.ts'
import { jobView } from './keep-schedules.ts'
import { readLedger, writeLedger } from './ledger-store.ts'
import { recordEnd } from './record-end.ts'

const heartbeatMs = 10_000

export interface CommandRunOptions {
  readonly coordinator: Coordinator
  readonly cluster: string
  readonly leader: LeaderEntry
  readonly runner: string
  readonly jobs: readonly Job[]
  readonly clock: Clock
  readonly signal: AbortSignal
  readonly run: (job: Job, order: JobOrder, signal: AbortSignal) => Promise<RunEnd & { readonly durationMs: number }>
}

/**
 * Runs a job now, as the agent would: entered into the ledger before and after, not beside another run of it, only while
 * this node leads. For `holdfast schedule run`, which cron and systemd call.
 */
export async function runByCommand(job: Job, options: CommandRunOptions): Promise<JobRun> {
  const { clock, signal } = options
  const order = await claim(job, options)
  const lost = new AbortController()
  const beating = keepClaim(job, options, lost)
  try {
    const end = await options.run(job, order, AbortSignal.any([signal, lost.signal]))
    signal.throwIfAborted()
    if (lost.signal.aborted) throw lost.signal.reason
    // Whoever called decides whether to call again.
    const ended = await recordEnd(options, job, { ...end, retry: false })
    if (ended === 'lost') throw leaderChanged(job)
    return ended.run
  } catch (error) {
    if (signal.aborted) {
      const end = {
        outcome: 'interrupted',
        exitCode: null,
        sizeBytes: null,
        error: 'interrupted',
        retry: false,
      } as const
      await recordEnd(options, job, { ...end, durationMs: 0 }).catch(() => undefined)
    }
    throw error
  } finally {
    beating.stop()
    await beating.done
  }

  function keepClaim(
    of: Job,
    held: CommandRunOptions,
    gone: AbortController,
  ): { stop: () => void; done: Promise<void> } {
    const stopping = new AbortController()
    const done = (async () => {
      while (!stopping.signal.aborted) {
        await clock.sleep(heartbeatMs, { signal: stopping.signal }).catch(() => undefined)
        if (stopping.signal.aborted) return
        // A coordinator that does not answer for a while is no reason to end a backup.
        const kept = await renew(of, held).catch(() => true)
        if (!kept) return gone.abort(leaderChanged(of))
      }
    })()
    return { stop: () => stopping.abort(), done }
  }
}

async function claim(job: Job, options: CommandRunOptions): Promise<JobOrder> {
  const { coordinator, cluster, leader, runner, clock, signal } = options
  for (;;) {
    signal.throwIfAborted()
    const { ledger, revision } = await readLedger(coordinator, cluster, signal)
    const { entry, order } = claimed(job, ledger, options)
    const running = { ...order, startedAt: clock.wall(), node: leader.node, runner, seenAt: clock.wall() }
    const next = { ...ledger, [job.name]: { ...entry, running } }
    const result = await writeLedger(coordinator, { cluster, leader, ledger: next, revision }, signal)
    if (result === 'written') return order
    if (result === 'not-leading') throw leaderChanged(job)
  }
}

/** The moment that has come, what was asked for, or just this once. */
function claimed(
  job: Job,
  ledger: Ledger,
  { cluster, leader, runner, clock }: CommandRunOptions,
): { readonly entry: JobLedger; readonly order: JobOrder } {
  const now = clock.wall()
  const running = ledger[job.name]?.running ?? null
  const alive = running !== null && (running.seenAt === null || Math.abs(now - running.seenAt) <= silenceMs)
  if (alive) {
    const message = `Cannot run the job ${job.name}: ${running.node} has been running it since ${new Date(running.startedAt).toISOString()}`
    throw new Fault(scheduleFaults['schedule-job-running'], message, { details: { job: job.name } })
  }
  const here: Job = { ...job, runBy: 'agent', firstFor: null, schedule: patient(job.schedule) }
  const view = jobView(here, { ledger, now, gaps: [], cluster })
  const decision = decideJobs({ now, node: leader.node, runner, jobs: [view], ledger })
  const entry = decision.ledger[job.name] ?? freshLedger(now, null)
  const order = decision.start[0]?.order ?? { cause: 'command', moment: null, attempt: 1 }
  return { entry, order }
}

/** Cron and systemd have their own delays, and come late for reasons of their own. */
function patient(schedule: Job['schedule']): Job['schedule'] {
  return schedule && { ...schedule, jitterMs: 0, makeUpWithinMs: Number.MAX_SAFE_INTEGER }
}

async function renew(job: Job, { coordinator, cluster, leader, runner, clock }: CommandRunOptions): Promise<boolean> {
  for (;;) {
    const { ledger, revision } = await readLedger(coordinator, cluster)
    const entry = ledger[job.name]
    if (entry?.running?.runner !== runner) return false
    const next = { ...ledger, [job.name]: { ...entry, running: { ...entry.running, seenAt: clock.wall() } } }
    const result = await writeLedger(coordinator, { cluster, leader, ledger: next, revision })
    if (result !== 'changed') return result === 'written'
  }
}

function leaderChanged(job: Job): Fault {
  const message = `Cannot run the job ${job.name} to its end: this node does not lead any more`
  return new Fault(scheduleFaults['schedule-leader-changed'], message, { details: { job: job.name } })
}
