import { clusterKeys } from '../../cluster/core/keys.ts'
import type { Config, RepositoryConfig } from '../../config/schema.ts'
import { repositoryFaults } from '../../repository/faults.ts'
import { jobProblems } from '../../schedule/core/report-jobs.ts'
import type { Clock, EpochMs } from '../../std/clock.ts'
import { withDeadline } from '../../std/deadline.ts'
import { isFault } from '../../std/fault.ts'
import { cliFaults } from '../faults.ts'
import { openConfiguredCoordinator, openConfiguredRepository, openConfiguredRoute } from '../open-configured.ts'
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
          const empty =
            repository === config.repositories[0]
              ? undefined
              : await askCopy(config, repository, { clock, signal: deadline })
          if (empty !== undefined) return empty
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

/** Whether the place of a copy is for the first repository, as far as that can be opened; gives what is wrong. */
async function askCopy(
  config: Config,
  copy: RepositoryConfig,
  options: { readonly clock: Clock; readonly signal: AbortSignal },
): Promise<Observation | undefined> {
  const { assertSameRepository } = await import('../../backup/offsite/survey-copy.ts')
  const { readRepositoryId } = await import('../../repository/repository.ts')
  try {
    await using places = await openConfiguredRoute(config, copy, options)
    await assertSameRepository(places.first, places.copy, options)
    if ((await readRepositoryId(places.copy, options)) !== undefined) return undefined
  } catch (error) {
    // What is wrong with the first repository is said where it is looked at.
    if (isFault(error, repositoryFaults['repository-not-found'])) return undefined
    throw error
  }
  return warn('nothing is copied there yet', 'The agent of the leader makes the copy, or `holdfast copy` does.')
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
