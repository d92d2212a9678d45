import { randomBytes } from 'node:crypto'
import type { Clock } from '../std/clock.ts'
import { Fault } from '../std/fault.ts'
import type { StoreOptions } from '../store/object-store.ts'
import { announceCollection, readCollections, withdrawCollection } from './collection-notes.ts'
import { isEmptyPlan, planCollection, type CollectionPlan, type CollectionView } from './core/collection.ts'
import type { CollectionNote } from './core/collection-note.ts'
import { backupOfPack, commitObject, sessionObject } from './core/object-names.ts'
import type { RetentionPolicy } from './core/retention.ts'
import { observeCollection, observeFirst } from './observe-collection.ts'
import { repositoryFaults } from './faults.ts'
import { assertClusterName, type Repository } from './repository.ts'

export interface ExpireOptions extends StoreOptions {
  readonly clock: Pick<Clock, 'wall'>
  /** The first repository, where this one is a copy of it: what the first has stays in the copy. */
  readonly first?: Repository | undefined
  /** Only decides; writes and removes nothing. */
  readonly dryRun?: boolean | undefined
  /** Told before each object is removed. */
  readonly onProgress?: ((progress: { readonly done: number; readonly total: number }) => void) | undefined
}

/**
 * Removes the backups that no rule keeps, and then everything that nothing listed needs: packs, manifests, WAL, leftovers
 * of backups that died. Gives what was decided. Backups, restores and other collections may run meanwhile.
 *
 * A crash leaves less than before and nothing broken: a backup's commit goes first, so what is listed is whole; the rest
 * is collected the next time, whoever does it. Its announcement stays until somebody has done all that it says.
 */
export async function expireBackups(
  repository: Repository,
  cluster: string,
  policy: RetentionPolicy,
  options: ExpireOptions,
): Promise<CollectionPlan> {
  assertClusterName(cluster)
  const { clock, dryRun = false } = options
  // Before looking: of those announced later, what they name may have come after we looked.
  const earlier = dryRun ? [] : await readCollections(repository, cluster, options)
  const view = await observe(repository, cluster, [], options)
  const intended = planCollection(view, { policy, now: clock.wall() })
  if (dryRun) return intended
  if (isEmptyPlan(intended)) {
    await withdrawDone(repository, cluster, { earlier, view, plan: intended }, options)
    return intended
  }
  const note: CollectionNote = {
    collection: randomBytes(8).toString('hex'),
    backups: [...goingBackups(intended), ...intended.deadSessions],
    wal: intended.walRanges,
    leftovers: leftoversOf(intended),
  }
  await announceCollection(repository, cluster, note, options)
  // Only now does looking count: whoever is not seen here sees the announcement.
  const seen = await observe(repository, cluster, intended.deadSessions, options)
  const plan = planCollection(seen, { policy, now: clock.wall(), agreed: intended })
  await remove(repository, cluster, plan, options)
  await withdrawCollection(repository, cluster, note.collection, options)
  await withdrawDone(repository, cluster, { earlier, view: seen, plan }, options)
  return plan
}

async function observe(
  repository: Repository,
  cluster: string,
  ended: readonly string[],
  options: ExpireOptions,
): Promise<CollectionView> {
  const view = await observeCollection(repository, cluster, ended, options)
  if (options.first === undefined) return view
  const first = await observeFirst(options.first, cluster, options)
  if (first.backups.size > 0 || view.commits.length === 0) return { ...view, first }
  throw new Fault(
    repositoryFaults['repository-first-empty'],
    `Cannot expire anything in ${repository.store.description}: it holds ${view.commits.length} backups, and ${options.first.store.description}, whose copy it is, none`,
    { details: { copy: repository.store.description, first: options.first.store.description } },
  )
}

/** Backups whose packs go although they themselves are neither listed nor dead: a copy may want them again. */
function leftoversOf(plan: CollectionPlan): readonly string[] {
  const named = new Set([...plan.verdicts.map(({ backup }) => backup), ...plan.deadSessions])
  const packs = plan.removals.filter(({ kind }) => kind === 'pack')
  return [...new Set(packs.map(({ key }) => backupOfPack(key)))].filter((backup) => !named.has(backup))
}

function goingBackups({ verdicts }: CollectionPlan): readonly string[] {
  return verdicts.filter(({ keep }) => !keep).map(({ backup }) => backup)
}

/** Commits first, so that nothing is listed that is not whole; sessions last, since they say what is left to be done. */
async function remove(
  repository: Repository,
  cluster: string,
  plan: CollectionPlan,
  options: ExpireOptions,
): Promise<void> {
  const keys = [
    ...goingBackups(plan).map((backup) => commitObject(cluster, backup)),
    ...plan.removals.map(({ key }) => key),
    ...[...plan.deadSessions, ...plan.endedSessions].map((backup) => sessionObject(cluster, backup)),
  ]
  for (const [done, key] of keys.entries()) {
    options.onProgress?.({ done, total: keys.length })
    await repository.store.delete(key, options)
  }
}

/**
 * Removes announcements of collections that did not come to their end, where nothing they announced is there any more: so
 * even one that only slept and wakes up now can do no harm.
 */
async function withdrawDone(
  repository: Repository,
  cluster: string,
  {
    earlier,
    view,
    plan,
  }: { readonly earlier: readonly CollectionNote[]; readonly view: CollectionView; readonly plan: CollectionPlan },
  options: StoreOptions,
): Promise<void> {
  const going = new Set(goingBackups(plan))
  const gone = new Set(plan.removals.map(({ key }) => key))
  const dead = new Set([...plan.deadSessions, ...plan.endedSessions])
  const there = new Set([
    ...view.commits.map(({ facts }) => facts.backup).filter((backup) => !going.has(backup)),
    ...view.sessions.map(({ backup }) => backup).filter((backup) => !dead.has(backup)),
  ])
  const wal = [...view.segments, ...view.tails].filter(({ key }) => !gone.has(key))
  for (const note of earlier) {
    const pending =
      note.backups.some((backup) => there.has(backup)) ||
      wal.some(({ timeline, startLsn }) =>
        note.wal.some((range) => range.timeline === timeline && range.startLsn <= startLsn && startLsn < range.endLsn),
      )
    if (!pending) await withdrawCollection(repository, cluster, note.collection, options)
  }
}
