import type { Config } from '../../config/schema.ts'
import type { Coordinator } from '../../coordinator/coordinator.ts'
import { reportJob } from '../../schedule/core/report-jobs.ts'
import type { JobReport } from '../../schedule/core/report-jobs.ts'
import type { Job } from '../../schedule/job.ts'
import { readLedger } from '../../schedule/ledger-store.ts'
import type { LedgerReading } from '../../schedule/ledger-store.ts'
import { momentsOf, scheduleText } from '../../schedule/moments.ts'
import type { EpochMs } from '../../std/clock.ts'
import { configuredJobs } from './configured-jobs.ts'

export interface JobsObservation {
  readonly jobs: readonly JobReport[]
  /** Why the ledger cannot be read; null when it can. */
  readonly unreadable: string | null
}

/** What has become of the jobs of a configuration, from the ledger and the newest backup. */
export async function observeJobs(
  config: Config,
  coordinator: Coordinator,
  options: { readonly now: EpochMs; readonly newestBackup: EpochMs | null; readonly signal: AbortSignal },
): Promise<JobsObservation> {
  const reading = await readLedger(coordinator, config.cluster, options.signal)
  const jobs = configuredJobs(config).map((job) => report(job, reading, { ...options, cluster: config.cluster }))
  return { jobs, unreadable: reading.unreadable }
}

function report(
  job: Job,
  { ledger }: LedgerReading,
  {
    now,
    newestBackup,
    cluster,
  }: { readonly now: EpochMs; readonly newestBackup: EpochMs | null; readonly cluster: string },
): JobReport {
  const { name, schedule, followsBackup, runBy } = job
  const entry = ledger[name]
  const known = schedule !== null && entry?.schedule === scheduleText(schedule)
  // What cron runs may be a plain `holdfast backup`, which tells the ledger nothing.
  const backedUp = name === 'backup' && runBy === 'system' ? newestBackup : null
  const settledTo = Math.max(known ? entry.settledTo : (backedUp ?? now), backedUp ?? 0) as EpochMs
  const facts = { name, followsBackup, runBy, ledger: entry, now }
  if (schedule === null) return reportJob({ ...facts, schedule: null })
  const { expression, timeZone, jitterMs } = schedule
  const { passed, next } = momentsOf(schedule, { settledTo, now })
  return reportJob({
    ...facts,
    schedule: { expression, timeZone, jitterMs, seed: `${cluster} ${name}`, passed, next },
  })
}
