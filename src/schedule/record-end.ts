import type { LeaderEntry } from '../cluster/core/keys.ts'
import type { Coordinator } from '../coordinator/coordinator.ts'
import type { Clock } from '../std/clock.ts'
import { endRun } from './core/decide-jobs.ts'
import type { EndedRun, RunEnd } from './core/decide-jobs.ts'
import { freshLedger } from './core/ledger.ts'
import type { JobRun, Ledger } from './core/ledger.ts'
import type { Job } from './job.ts'
import { readLedger, writeLedger } from './ledger-store.ts'

export interface Recorder {
  readonly coordinator: Coordinator
  readonly cluster: string
  readonly leader: LeaderEntry
  readonly runner: string
  readonly jobs: readonly Job[]
  readonly clock: Pick<Clock, 'wall'>
}

/**
 * Records how a run of this runner ended, and asks for what follows a backup, in one write. `lost`: the run is not this
 * runner's any more, or this node does not lead any more; whoever does has taken it for cut short.
 */
export async function recordEnd(
  { coordinator, cluster, leader, runner, jobs, clock }: Recorder,
  job: Job,
  end: RunEnd & { readonly durationMs: number },
  signal?: AbortSignal,
): Promise<EndedRun | 'lost'> {
  for (;;) {
    signal?.throwIfAborted()
    const { ledger, revision } = await readLedger(coordinator, cluster, signal)
    const entry = ledger[job.name]
    if (entry?.running?.runner !== runner) return 'lost'
    const ended = endRun(entry, entry.running, { ...end, now: clock.wall() })
    const next = withFollowers({ ...ledger, [job.name]: ended.ledger }, jobs, job, ended.run)
    const result = await writeLedger(coordinator, { cluster, leader, ledger: next, revision }, signal)
    if (result === 'written') return ended
    if (result === 'not-leading') return 'lost'
  }
}

function withFollowers(ledger: Ledger, jobs: readonly Job[], job: Job, run: JobRun): Ledger {
  const done = job.name === 'backup' && (run.outcome === 'ok' || run.outcome === 'degraded')
  if (!done) return ledger
  const since = run.startedAt
  const wanted = jobs
    .filter(({ followsBackup }) => followsBackup)
    .map(({ name }) => {
      return [
        name,
        { ...(ledger[name] ?? freshLedger(since, null)), wanted: { cause: 'after-backup', since } },
      ] as const
    })
  return { ...ledger, ...Object.fromEntries(wanted) }
}
