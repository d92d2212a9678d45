import { backupsPrefix, dumpsPrefix, gapsPrefix } from '../../repository/core/object-names.ts'
import type { ObjectStore, StoreOptions } from '../../store/object-store.ts'
import type { CopyRoute } from './copy-object.ts'
import { removeSuperseded } from './copy-once.ts'
import { copyWal, type OnProblem } from './copy-plan.ts'
import type { CopyProgress } from './copy-progress.ts'
import { planCopy, type CopyPlan } from './core/plan-copy.ts'
import { lookForWal, walFrontOf } from './look-for-wal.ts'
import type { CopySurvey } from './survey-copy.ts'

export interface FollowOptions {
  readonly progress: CopyProgress
  readonly onProblem: OnProblem
  /** Everything else of the plan is copied. */
  readonly isBulkDone: () => boolean
  /** Waits until the next look. */
  readonly rest: () => Promise<void>
  /** Everything is listed again after so long, for what no look at the end of the WAL can tell. */
  readonly surveyAfterMs: () => number
  /** And not before, whatever came. */
  readonly surveyPauseMs: number
}

/**
 * Copies the WAL of a plan and then what comes after it, looking again and again. Returns when everything else is copied
 * too and everything is to be looked at anew: a backup came, a timeline began, or it is long ago.
 */
export async function followWal(
  route: CopyRoute,
  survey: CopySurvey,
  plan: CopyPlan,
  options: FollowOptions,
): Promise<void> {
  const { clock, first, cluster } = route
  const { progress, onProblem } = options
  const begun = clock.monotonic()
  const known = await fewThings(first.store, cluster, route)
  const copied = new Map(survey.copy)
  const copyItems = async (items: CopyPlan['wal']): Promise<void> => {
    await copyWal(route, items, { taken: copied, onProblem })
    progress.settled(items)
    for (const { key, sizeBytes } of items) copied.set(key, sizeBytes)
  }
  await copyItems(plan.wal)
  let front = walFrontOf(survey)
  for (;;) {
    const lookedAt = clock.wall()
    const found = await lookForWal(first.store, survey, front, route)
    const seen = new Map(found.items.map(({ key, sizeBytes }) => [key, sizeBytes]))
    const news = planCopy({ ...survey, first: seen, copy: copied, commits: [] }).wal
    progress.addWal(news)
    await copyItems(news)
    const { superseded } = planCopy({ ...survey, first: seen, copy: copied, commits: [] })
    await removeSuperseded(route, superseded)
    for (const key of superseded) copied.delete(key)
    front = found.front
    if (!found.turned) progress.walArrived(lookedAt)
    const more = found.turned || (await fewThings(first.store, cluster, route)) !== known
    if (options.isBulkDone()) {
      const sinceMs = clock.monotonic() - begun
      if (!more) progress.arrived(lookedAt)
      if (sinceMs >= options.surveyAfterMs() || (more && sinceMs >= options.surveyPauseMs)) return
    }
    await options.rest()
  }
}

/** The names of what is few, so that something new among it is cheap to see. */
async function fewThings(store: ObjectStore, cluster: string, options: StoreOptions): Promise<string> {
  const keys: string[] = []
  for (const prefix of [backupsPrefix(cluster), dumpsPrefix(cluster), gapsPrefix(cluster)]) {
    for await (const { key } of store.list(prefix, options)) if (!key.endsWith('/manifest')) keys.push(key)
  }
  return keys.join(' ')
}
