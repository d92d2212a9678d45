import { randomBytes } from 'node:crypto'
import { listBackups } from '../../repository/catalogue.ts'
import { readClusterIdentity } from '../../repository/cluster-identity.ts'
import {
  backupsPrefix,
  clusterObject,
  clusterPacksPrefix,
  dumpsPrefix,
  gapsPrefix,
  guideObject,
  keysPrefix,
  repositoryObject,
  restoreProgramObject,
  tailsPrefix,
  walPrefix,
} from '../../repository/core/object-names.ts'
import { readRepositoryId, requireVacant, type Repository } from '../../repository/repository.ts'
import { Fault } from '../../std/fault.ts'
import type { ObjectStore, StoreOptions } from '../../store/object-store.ts'
import type { CopyView } from './core/plan-copy.ts'
import { offsiteFaults } from './faults.ts'

export interface CopySurvey extends CopyView {
  /** Commits of the first repository that cannot be read; those backups cannot be copied. */
  readonly damaged: readonly { readonly backup: string; readonly fault: Fault }[]
}

/**
 * Looks at everything that copying depends on, in both places. Throws `offsite-other-repository` when the copy's place
 * holds another repository, or the first one is not any more the one that was opened, `repository-place-occupied` when
 * the copy's place holds something else, and `offsite-same-place`.
 */
export async function surveyCopy(
  first: Repository,
  copy: ObjectStore,
  cluster: string,
  options: StoreOptions = {},
): Promise<CopySurvey> {
  await assertSameRepository(first, copy, options)
  const { backups: commits, damaged } = await listBackups(first, cluster, options)
  const identity = await readClusterIdentity(first, cluster, options)
  const own = [walPrefix(cluster), tailsPrefix(cluster), backupsPrefix(cluster), dumpsPrefix(cluster)]
  const prefixes = [keysPrefix, ...own, gapsPrefix(cluster)]
  // The first one first: what comes to the copy meanwhile is then not taken for missing.
  const firstSizes = await listSizes(first.store, cluster, prefixes, options)
  const copySizes = await listSizes(copy, cluster, [...prefixes, clusterPacksPrefix(cluster)], options)
  const walSegmentBytes = identity?.walSegmentBytes ?? commits.at(-1)?.facts.walSegmentBytes
  return { cluster, walSegmentBytes, first: firstSizes, copy: copySizes, commits, damaged }
}

/**
 * Throws `offsite-same-place` when what is written to the copy appears in the first repository: by a link, a mount, or
 * another name of the same server. Only asked where nothing is missing, since something missing is proof enough.
 */
export async function assertTwoPlaces(
  first: Repository,
  copy: ObjectStore,
  cluster: string,
  options: StoreOptions = {},
): Promise<void> {
  const key = `${cluster}/probe/${randomBytes(8).toString('hex')}`
  await copy.create(key, Buffer.from('whether a copy and the first repository are two places\n'), options)
  const same = (await first.store.size(key, options)) !== undefined
  // A store that lets nobody delete keeps a few bytes that nothing looks at.
  await copy.delete(key, options).catch(() => undefined)
  if (!same) return
  throw new Fault(
    offsiteFaults['offsite-same-place'],
    `Cannot copy to ${copy.description}: it is the same place as ${first.store.description}`,
    { details: { first: first.store.description, copy: copy.description } },
  )
}

/** Throws `offsite-other-repository`, or `repository-place-occupied`, where the copy's place is not for this repository. */
export async function assertSameRepository(first: Repository, copy: ObjectStore, options: StoreOptions): Promise<void> {
  const firstId = await readRepositoryId(first.store, options)
  const copyId = await readRepositoryId(copy, options)
  if (copyId === undefined) await requireVacant(copy, options)
  if (firstId === first.id && (copyId === undefined || copyId === first.id)) return
  const now = firstId === first.id ? '' : `, and was ${first.id} before`
  throw new Fault(
    offsiteFaults['offsite-other-repository'],
    `Cannot copy ${first.store.description} to ${copy.description}: the first is repository ${firstId ?? '(none)'}${now}, the other ${copyId ?? '(none)'}`,
    { details: { first: firstId ?? null, copy: copyId ?? null } },
  )
}

async function listSizes(
  store: ObjectStore,
  cluster: string,
  prefixes: readonly string[],
  options: StoreOptions,
): Promise<ReadonlyMap<string, number>> {
  const sizes = new Map<string, number>()
  for (const key of [guideObject, restoreProgramObject, repositoryObject, clusterObject(cluster)]) {
    const sizeBytes = await store.size(key, options)
    if (sizeBytes !== undefined) sizes.set(key, sizeBytes)
  }
  for (const prefix of prefixes) {
    for await (const { key, sizeBytes } of store.list(prefix, options)) sizes.set(key, sizeBytes)
  }
  return sizes
}
