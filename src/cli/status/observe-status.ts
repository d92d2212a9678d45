import type { Config } from '../../config/schema.ts'
import type { Clock } from '../../std/clock.ts'
import { openConfiguredCoordinator } from '../open-configured.ts'
import { observeJobs } from '../schedule/observe-jobs.ts'
import { askAgents } from './ask-agents.ts'
import { readClusterEntries } from './cluster-entries.ts'
import { reportStatus } from './core/status-report.ts'
import type { StatusReport } from './core/status-report.ts'
import { reportRepositories } from './repository-report.ts'

/** Reads the coordinator, asks every agent and every repository, and judges. Throws when the coordinator is silent. */
export async function observeStatus(
  config: Config,
  { clock, signal }: { readonly clock: Clock; readonly signal: AbortSignal },
): Promise<StatusReport> {
  await using coordinator = await openConfiguredCoordinator(config, clock)
  const { revisions: _, ...entries } = await readClusterEntries(coordinator, config.cluster, signal)
  const timeline = entries.state?.lineage.timeline ?? null
  const [answers, repositories] = await Promise.all([
    askAgents(entries.members, signal),
    reportRepositories({ config, timeline, clock, signal }),
  ])
  const now = clock.wall()
  const [first] = repositories
  const newestBackup = first?.readable === true ? (first.last?.startedAt ?? null) : null
  const { jobs, unreadable } = await observeJobs(config, coordinator, { now, newestBackup, signal })
  const { cluster } = config
  return reportStatus({ cluster, now, entries, answers, repositories, jobs, jobsUnreadable: unreadable })
}
