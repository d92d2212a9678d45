import type { Clock } from '../std/clock.ts'
import type { StoreOptions } from '../store/object-store.ts'
import { readCommit } from './catalogue.ts'
import { decodeCheckedJson, encodeCheckedJson, formatVersion } from './checked-json.ts'
import { assertMayBuildOn, readCollections } from './collection-notes.ts'
import { fieldsOf } from './core/json-fields.ts'
import { holdObject, holdsPrefix } from './core/object-names.ts'
import { assertClusterName, type Repository } from './repository.ts'
import { readIfStored } from './stored-objects.ts'

interface HeldBackup {
  readonly cluster: string
  readonly backup: string
}

/**
 * Keeps a backup until it is released, whatever the rules say. `already` when it is held, with the reason given then.
 * Throws `repository-backup-not-found`, and `repository-backup-expiring` when it is just being removed.
 */
export async function holdBackup(
  repository: Repository,
  { cluster, backup, reason }: HeldBackup & { readonly reason: string },
  options: StoreOptions & { readonly clock: Pick<Clock, 'wall'> },
): Promise<'held' | 'already'> {
  await readCommit(repository, { cluster, backup }, options)
  const heldAt = new Date(options.clock.wall()).toISOString()
  const value = { format: formatVersion, repositoryId: repository.id, cluster, backup, reason, heldAt }
  const object = holdObject(cluster, backup)
  const created = (await repository.store.create(object, encodeCheckedJson(value), options)) === 'created'
  const collections = await readCollections(repository, cluster, options)
  try {
    await assertMayBuildOn(repository, { cluster, backup, collections }, options)
  } catch (error) {
    if (created) await repository.store.delete(object, options)
    throw error
  }
  return created ? 'held' : 'already'
}

/** Leaves a backup to the rules again; `free` when it was not held. */
export async function releaseBackup(
  repository: Repository,
  { cluster, backup }: HeldBackup,
  options: StoreOptions = {},
): Promise<'released' | 'free'> {
  await readCommit(repository, { cluster, backup }, options)
  const object = holdObject(cluster, backup)
  if ((await repository.store.size(object, options)) === undefined) return 'free'
  await repository.store.delete(object, options)
  return 'released'
}

/** The reasons of all holds, by backup. */
export async function readHolds(
  repository: Repository,
  cluster: string,
  options: StoreOptions = {},
): Promise<ReadonlyMap<string, string>> {
  assertClusterName(cluster)
  const holds = new Map<string, string>()
  for await (const { key } of repository.store.list(holdsPrefix(cluster), options)) {
    const bytes = await readIfStored(repository.store, key, options)
    if (bytes === undefined) continue
    const { backup, reason } = decodeCheckedJson(key, bytes, (value) => {
      const fields = fieldsOf(value, 'hold')
      return { backup: fields.text('backup'), reason: fields.text('reason') }
    })
    holds.set(backup, reason)
  }
  return holds
}
