import { clusterKeys } from '../../cluster/core/keys.ts'
import type { Config } from '../../config/schema.ts'
import { repositoryFaults } from '../../repository/faults.ts'
import { jobProblems } from '../../schedule/core/report-jobs.ts'
import type { Clock, EpochMs } from '../../std/clock.ts'
import { withDeadline } from '../../std/deadline.ts'
import { isFault } from '../../std/fault.ts'
import { cliFaults } from '../faults.ts'
import { openConfiguredCoordinator, openConfiguredRepository } from '../open-configured.ts'
import { ago, isoTime } from '../schedule/job-text.ts'
import { observeJobs } from '../schedule/observe-jobs.ts'
import { newestBackupAt } from '../schedule/run-schedule.ts'
import { look, pass, warn } from './check-item.ts'
import type { CheckItem, Observation } from './check-item.ts'

const patienceMs = 10_000

/** What the node depends on outside of itself: the coordinator and the repositories, opened with their keys. */
export async function checkServices(
  config: Config,
  { clock, signal }: { readonly clock: Clock; readonly signal: AbortSignal },
): Promise<readonly CheckItem[]> {
  const coordinator = look('coordinator', async () => {
    try {
      return await askCoordinator(config, clock, signal)
    } catch (error) {
      if (!isFault(error, cliFaults['cli-coordinator-absent'])) throw error
      return warn(`${config.coordinator.file} does not exist`, 'The first start of an agent makes it.')
    }
  })
  const repositories = config.repositories.map((repository) =>
    look(`repository ${repository.name}`, async () => {
      try {
        return await withDeadline(`open repository ${repository.name}`, patienceMs, signal, async (deadline) => {
          await using opened = await openConfiguredRepository(repository, { clock, signal: deadline })
          return pass(`${opened.repository.store.description} opens with its key`)
        })
      } catch (error) {
        if (!isFault(error, repositoryFaults['repository-not-found'])) throw error
        const maker =
          repository === config.repositories[0]
            ? 'The first start of the agent, or the first backup, makes the repository.'
            : 'The agent of the leader, or `holdfast copy`, copies the first repository into it.'
        return warn('nothing is in it yet', maker)
      }
    }),
  )
  const jobs = config.repositories.length === 0 ? [] : [look('jobs', () => judgeJobs(config, { clock, signal }))]
  return await Promise.all([coordinator, ...repositories, ...jobs])
}

async function judgeJobs(
  config: Config,
  { clock, signal }: { readonly clock: Clock; readonly signal: AbortSignal },
): Promise<Observation> {
  const now = clock.wall()
  try {
    return await withDeadline('look at the jobs', patienceMs, signal, async (deadline) => {
      await using coordinator = await openConfiguredCoordinator(config, clock)
      const newestBackup = await newestBackupAt(config, { clock, signal: deadline })
      const { jobs, unreadable } = await observeJobs(config, coordinator, { now, newestBackup, signal: deadline })
      const when = (moment: EpochMs): string => `${isoTime(moment)}, ${ago(now, moment)}`
      const [problem = unreadable] = jobs.flatMap((job) => jobProblems(job, when))
      if (problem !== null) return warn(problem, '`holdfast schedule` shows all jobs and what became of them.')
      const coming = jobs.flatMap(({ name, next }) => (next === null ? [] : [`${name} next ${isoTime(next)}`]))
      return pass(coming.length === 0 ? 'nothing is scheduled' : coming.join(', '))
    })
  } catch (error) {
    if (!isFault(error, cliFaults['cli-coordinator-absent'])) throw error
    return pass('no agent has run yet')
  }
}

function askCoordinator(config: Config, clock: Clock, signal: AbortSignal): Promise<Observation> {
  return withDeadline('reach the coordinator', patienceMs, signal, async (deadline) => {
    await using opened = await openConfiguredCoordinator(config, clock)
    const { entries } = await opened.list(clusterKeys(config.cluster).prefix, { signal: deadline })
    const what = entries.length === 0 ? 'it knows no such cluster yet' : `it holds ${entries.length} entries of ours`
    return pass(`${opened.description} answers; ${what}`)
  })
}
