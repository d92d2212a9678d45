import { backupsPrefix, dumpsPrefix, gapsPrefix, keysPrefix } from '../../repository/core/object-names.ts'
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
  /** As it was before the survey: what came since is not in the plan. */
  readonly known: KnownNames
  /** Everything else of the plan is copied. */
  readonly isBulkDone: () => boolean
  /** Waits until the next look. */
  readonly rest: () => Promise<void>
  /** Everything is listed again after so long, for what no look at the end of the WAL can tell. */
  readonly surveyAfterMs: () => number
  /** And not before, whatever came. */
  readonly surveyPauseMs: number
  /** Then also while something else is still being copied, where WAL may depend on it. */
  readonly interruptAfterMs: number
}

/**
 * Copies the WAL of a plan and then what comes after it, looking again and again. Returns when everything is to be
 * looked at anew: a backup came, a timeline began, or it is long ago; as a rule when all else is copied too.
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
  let turned = false
  const copied = new Map(survey.copy)
  const copyItems = async (items: CopyPlan['wal']): Promise<void> => {
    const there = await copyWal(route, items, { taken: copied, onProblem })
    progress.settled(items)
    for (const { key, sizeBytes } of there) copied.set(key, sizeBytes)
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
    turned ||= found.turned
    if (!turned) progress.walArrived(lookedAt)
    const urgent = turned || (await keyNames(first.store, route)) !== options.known.keys
    const more = urgent || (await fewThings(first.store, cluster, route)) !== options.known.things
    const sinceMs = clock.monotonic() - begun
    if (options.isBulkDone()) {
      if (!more) progress.arrived(lookedAt)
      if (sinceMs >= options.surveyAfterMs() || (more && sinceMs >= options.surveyPauseMs)) return
    }
    // A long backup must not keep WAL from being seen that does not continue what is known, or that has a new key.
    if (urgent && sinceMs >= options.interruptAfterMs) return
    await options.rest()
  }
}

/** Names of what is few, so that something new among it is cheap to see. */
export interface KnownNames {
  readonly keys: string
  readonly things: string
}

export async function readKnownNames(store: ObjectStore, cluster: string, options: StoreOptions): Promise<KnownNames> {
  return { keys: await keyNames(store, options), things: await fewThings(store, cluster, options) }
}

/** The names of all key objects: another name may be another data key. */
async function keyNames(store: ObjectStore, options: StoreOptions): Promise<string> {
  return (await Array.fromAsync(store.list(keysPrefix, options))).map(({ key }) => key).join(' ')
}

async function fewThings(store: ObjectStore, cluster: string, options: StoreOptions): Promise<string> {
  const keys: string[] = []
  for (const prefix of [backupsPrefix(cluster), dumpsPrefix(cluster), gapsPrefix(cluster)]) {
    for await (const { key } of store.list(prefix, options)) if (!key.endsWith('/manifest')) keys.push(key)
  }
  return keys.join(' ')
}
