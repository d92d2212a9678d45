import { Fault } from '../std/fault.ts'
import type { StoreOptions } from '../store/object-store.ts'
import { formatLsn } from '../wal/core/lsn.ts'
import { readCommit } from './catalogue.ts'
import { decodeCheckedJson, encodeCheckedJson, formatVersion } from './checked-json.ts'
import type { BackupFacts } from './core/backup-facts.ts'
import { collectionFromJson, collectionToJson, type CollectionNote } from './core/collection-note.ts'
import { collectionObject, collectionsPrefix } from './core/object-names.ts'
import { repositoryFaults } from './faults.ts'
import type { Repository } from './repository.ts'
import { readIfStored, storeOnce } from './stored-objects.ts'

/**
 * Announcements of collections, below `gc/`. Both sides write first and look then: a collection announces what it may
 * remove and then looks who needs it; whoever begins to need something says so and then looks at the announcements. So
 * at least one of two that meet sees the other, whatever stops between its steps and for how long.
 */
export async function announceCollection(
  repository: Repository,
  cluster: string,
  note: CollectionNote,
  options: StoreOptions = {},
): Promise<void> {
  const value = { format: formatVersion, repositoryId: repository.id, cluster, ...collectionToJson(note) }
  await storeOnce(repository.store, collectionObject(cluster, note.collection), encodeCheckedJson(value), options)
}

/** Every announcement there is, of collections that run and of those that did not come to their end. */
export async function readCollections(
  repository: Repository,
  cluster: string,
  options: StoreOptions = {},
): Promise<readonly CollectionNote[]> {
  const notes: CollectionNote[] = []
  for await (const { key } of repository.store.list(collectionsPrefix(cluster), options)) {
    const bytes = await readIfStored(repository.store, key, options)
    // Gone in between: that collection has come to its end, and what it removed is no longer there to be seen.
    if (bytes !== undefined) notes.push(decodeCheckedJson(key, bytes, collectionFromJson))
  }
  return notes
}

/**
 * For who has just said that it needs a backup and has then read the announcements: throws `repository-backup-expiring`
 * when the backup is announced to go, and `repository-backup-not-found` when it is gone.
 */
export async function assertMayBuildOn(
  repository: Repository,
  need: { readonly cluster: string; readonly backup: string; readonly collections: readonly CollectionNote[] },
  options: StoreOptions = {},
): Promise<void> {
  const { cluster, backup, collections } = need
  if (collections.some(({ backups }) => backups.includes(backup))) {
    throw expiring(`use backup ${backup}: it is just being removed`, { cluster, backup })
  }
  await readCommit(repository, { cluster, backup }, options)
}

/** Throws `repository-backup-expiring` when a collection that was announced before the backup began removes its WAL. */
export function assertWalStays(
  collections: readonly CollectionNote[],
  facts: Pick<BackupFacts, 'backup' | 'timeline' | 'startLsn' | 'stopLsn'>,
): void {
  const { backup, timeline, startLsn, stopLsn } = facts
  const hit = collections
    .flatMap(({ wal }) => wal)
    .find((range) => range.timeline === timeline && range.startLsn < stopLsn && range.endLsn > startLsn)
  if (hit === undefined) return
  const range = `${formatLsn(hit.startLsn)} to ${formatLsn(hit.endLsn)} of timeline ${timeline}`
  throw expiring(`complete backup ${backup}: WAL that it needs, ${range}, is just being removed`, { backup })
}

/** Takes back an announcement. */
export async function withdrawCollection(
  repository: Repository,
  cluster: string,
  collection: string,
  options: StoreOptions = {},
): Promise<void> {
  await repository.store.delete(collectionObject(cluster, collection), options)
}

function expiring(what: string, details: { readonly backup: string; readonly cluster?: string }): Fault {
  return new Fault(repositoryFaults['repository-backup-expiring'], `Cannot ${what}`, { details })
}
