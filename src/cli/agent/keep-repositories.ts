import type { ArchiverReport } from '../../archive/archiver-process.ts'
import type { CopierReport } from '../../backup/offsite/copier-process.ts'
import type { Config } from '../../config/schema.ts'
import { dropOldArchiverSlots } from './archiver-slot.ts'
import { keepArchiving } from './archiver-child.ts'
import { keepCopying } from './copier-child.ts'
import type { ChildProgram } from './reporting-child.ts'

/** What the leader's processes for the repositories last said of themselves, by repository. */
export interface RepositoryReports {
  readonly archivers: Map<string, ArchiverReport>
  readonly copiers: Map<string, CopierReport>
}

/**
 * While this node leads: the archiver of the first repository, and a copier for each of its copies, which the archiver
 * wakes when it has stored something. A copy that is slow or gone concerns only its own process.
 */
export async function keepRepositories(
  config: Config,
  options: Omit<ChildProgram, 'repository'> & {
    readonly reports: RepositoryReports
    readonly onArchiver?: (report: ArchiverReport | undefined) => void
  },
  signal: AbortSignal,
): Promise<void> {
  const [first, ...copies] = config.repositories
  if (first === undefined) return
  const { archivers, copiers } = options.reports
  const wakers = new Map<string, () => void>()
  let durableLsn: string | null = null
  let tidied = false
  const tidyOnce = async (): Promise<void> => {
    if (tidied) return
    tidied = true
    try {
      const slots = await dropOldArchiverSlots(config)
      if (slots.length > 0) options.log.info('slots of archivers that no longer run are gone', { slots })
    } catch (error) {
      options.log.warn('slots of archivers that no longer run may be left', { reason: String(error) })
    }
  }
  const onArchiver = (report: ArchiverReport | undefined): void => {
    put(archivers, first.name, report)
    options.onArchiver?.(report)
    if (report === undefined || report.durableLsn === durableLsn) return
    durableLsn = report.durableLsn
    if (report.state === 'streaming' && durableLsn !== null) void tidyOnce()
    for (const wake of wakers.values()) wake()
  }
  await Promise.all([
    keepArchiving({ ...options, repository: first.name, onReport: onArchiver }, signal),
    ...copies.map(({ name }) =>
      keepCopying(
        {
          ...options,
          repository: name,
          onReport: (report) => put(copiers, name, report),
          onStart: (wake) => void wakers.set(name, wake),
        },
        signal,
      ),
    ),
  ])
}

function put<Report>(reports: Map<string, Report>, name: string, report: Report | undefined): void {
  if (report === undefined) reports.delete(name)
  else reports.set(name, report)
}
