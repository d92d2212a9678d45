import { randomBytes } from 'node:crypto'
import type { Clock } from '../std/clock.ts'
import { Fault, isFault } from '../std/fault.ts'
import type { ObjectStore, StoreOptions } from '../store/object-store.ts'
import { encodeCommit } from './catalogue.ts'
import { encodeCheckedJson, formatVersion } from './checked-json.ts'
import type { BackupFacts, PackReference } from './core/backup-facts.ts'
import type { Commit } from './core/commit.ts'
import type { ManifestFile, ManifestHead } from './core/manifest.ts'
import { commitObject, packObject, packsPrefix, sessionObject } from './core/object-names.ts'
import { assertMayBuildOn, assertWalStays, readCollections } from './collection-notes.ts'
import { repositoryFaults } from './faults.ts'
import { type ManifestLines, manifestLinesOf } from './manifest-lines.ts'
import { openManifest, sealManifest } from './manifest-object.ts'
import type { FinishedPack } from './pack-builder.ts'
import { assertClusterName, type Repository } from './repository.ts'
import { storeOnce } from './stored-objects.ts'

/** A backup that is being written. Nothing of it is listed before {@link BackupSession.commit} has resolved. */
export interface BackupSession {
  readonly cluster: string
  readonly backup: string
  /** The object key for the n-th pack of this backup: what its `PackBuilder` must be made for. */
  packObject(number: number): string
  /** Stores a finished pack and gives what the manifest says of it. */
  putPack(pack: FinishedPack, options?: StoreOptions): Promise<PackReference>
  /** Stores the manifest, then the commit: from then on the backup exists. Every pack must be stored before. */
  commit(manifest: BackupContent, options?: StoreOptions): Promise<Commit>
  /**
   * Removes what was stored of the backup, unless its commit was begun: whether that came through may be unknown, and
   * then only the collector, which looks, may decide. A crash leaves everything to the collector as well.
   */
  abandon(options?: StoreOptions): Promise<void>
}

/** A manifest but for what the session knows itself. */
export interface BackupContent extends Omit<ManifestHead, 'facts'> {
  readonly facts: Omit<BackupFacts, 'repositoryId' | 'cluster' | 'backup' | 'kind' | 'parent' | 'fileCount'>
  readonly files: readonly ManifestFile[] | ManifestLines
}

/**
 * Begins a backup: stores a session object, so that a collection that begins later keeps its hands off the backup's
 * packs, its parent, and all WAL; and then looks what collections have announced before, so that the backup keeps its
 * hands off what they remove. Throws `repository-backup-expiring` when that is the parent.
 */
export async function beginBackup(
  repository: Repository,
  plan: { readonly cluster: string; readonly kind: 'full' | 'incremental'; readonly parent?: string | undefined },
  options: StoreOptions & { readonly clock: Pick<Clock, 'wall'> },
): Promise<BackupSession> {
  const { cluster, kind, parent = null } = plan
  assertClusterName(cluster)
  const { store, keyring, id: repositoryId } = repository
  const beganAt = new Date(options.clock.wall()).toISOString()
  const backup = `${beganAt.replace(/[-:]|\.\d+/g, '')}-${randomBytes(4).toString('hex')}`
  const session = { format: formatVersion, repositoryId, cluster, backup, kind, parent, beganAt }
  await storeOnce(store, sessionObject(cluster, backup), encodeCheckedJson(session), options)
  const collections = await readCollections(repository, cluster, options)
  if (parent !== null) {
    try {
      await assertMayBuildOn(repository, { cluster, backup: parent, collections }, options)
    } catch (error) {
      await store.delete(sessionObject(cluster, backup), options)
      throw error
    }
  }
  const stored = new Map<string, PackReference>()
  let commitBegun = false
  return {
    cluster,
    backup,
    packObject: (number) => packObject(cluster, backup, number),
    putPack: async (pack, storeOptions) => {
      await storeOnce(store, pack.objectKey, pack.bytes, storeOptions)
      const reference = { key: pack.objectKey, sha256: pack.sha256, sizeBytes: pack.sizeBytes }
      stored.set(reference.key, reference)
      return reference
    },
    commit: async ({ facts: found, files, ...head }, storeOptions) => {
      assertStored(found.packs, stored, parent === null ? '' : packsPrefix(cluster, backup))
      const lines = 'chunks' in files ? files : manifestLinesOf(files)
      const { fileCount } = lines
      assertWalStays(collections, { backup, ...found })
      const facts: BackupFacts = { ...found, repositoryId, cluster, backup, kind, parent, fileCount }
      const sealed = sealManifest(keyring, { ...head, facts }, lines)
      const manifest = { key: sealed.objectKey, sha256: sealed.sha256, sizeBytes: sealed.sizeBytes }
      const commit: Commit = { committedAt: options.clock.wall(), manifest, facts }
      // Read it as a restore will: maps with a hole, or a reference to nothing, must not become a backup.
      for (const _ of openManifest(keyring, commit, sealed.bytes).files());
      commitBegun = true
      await storeOnce(store, sealed.objectKey, sealed.bytes, storeOptions)
      await storeCommit(store, commit, storeOptions)
      // The backup is there, whatever becomes of its session object: the collector removes one that has a commit.
      await store.delete(sessionObject(cluster, backup), storeOptions).catch(() => undefined)
      return commit
    },
    abandon: async (storeOptions) => {
      if (commitBegun) return
      const packs: string[] = []
      for await (const { key } of store.list(packsPrefix(cluster, backup), storeOptions)) packs.push(key)
      for (const key of packs) await store.delete(key, storeOptions)
      await store.delete(sessionObject(cluster, backup), storeOptions)
    },
  }
}

/** Throws `repository-session-collected` when a collection took the backup for dead. */
async function storeCommit(store: ObjectStore, commit: Commit, options: StoreOptions | undefined): Promise<void> {
  const { cluster, backup } = commit.facts
  try {
    await storeOnce(store, commitObject(cluster, backup), encodeCommit(commit), options)
  } catch (error) {
    if (!isFault(error, repositoryFaults['repository-object-conflict'])) throw error
    throw new Fault(
      repositoryFaults['repository-session-collected'],
      `Cannot commit backup ${backup}: a collection has taken it for dead and removed what was stored of it`,
      { details: { cluster, backup }, cause: error },
    )
  }
}

/** A backup must not name a pack that is not durable: all of a full backup's, and an incremental's own, went by here. */
function assertStored(
  packs: readonly PackReference[],
  stored: ReadonlyMap<string, PackReference>,
  ownPrefix: string,
): void {
  for (const pack of packs) {
    if (!pack.key.startsWith(ownPrefix)) continue
    const found = stored.get(pack.key)
    const same = found?.sha256 === pack.sha256 && found.sizeBytes === pack.sizeBytes
    if (!same) throw new Error(`the backup names a pack that was not stored: ${pack.key}`)
  }
}
