import { randomBytes } from 'node:crypto'
import type { Clock } from '../std/clock.ts'
import { Fault, isFault } from '../std/fault.ts'
import type { ObjectStore, StoreOptions } from '../store/object-store.ts'
import { encodeCommit } from './catalogue.ts'
import type { BackupFacts, PackReference } from './core/backup-facts.ts'
import type { Commit } from './core/commit.ts'
import type { ManifestFile, ManifestHead } from './core/manifest.ts'
import { backupOfPack, commitObject, packObject, sessionObject } from './core/object-names.ts'
import { assertMayBuildOn, assertWalStays } from './collection-notes.ts'
import { repositoryFaults } from './faults.ts'
import { type ManifestLines, manifestLinesOf } from './manifest-lines.ts'
import { openManifest, sealManifest } from './manifest-object.ts'
import type { FinishedPack } from './pack-builder.ts'
import { assertClusterName, type Repository } from './repository.ts'
import { renewLocks } from './renew-locks.ts'
import { openSession, removeSession, shutOut } from './sessions.ts'
import { storeOnce } from './stored-objects.ts'

/** A backup that is being written. Nothing of it is listed before {@link BackupSession.commit} has resolved. */
export interface BackupSession {
  readonly cluster: string
  readonly backup: string
  /** Backups that did not come to their end, whose packs it may name. */
  readonly takesOver: readonly string[]
  /** Those packs. Each is to be read before it is named: nothing is known of it but that it is there. */
  readonly adoptablePacks: readonly string[]
  /** The object key for the n-th pack of this backup: what its `PackBuilder` must be made for. */
  packObject(number: number): string
  /** Stores a finished pack and gives what the manifest says of it. */
  putPack(pack: FinishedPack, options?: StoreOptions): Promise<PackReference>
  /** Stores the manifest, then the commit: from then on the backup exists. Every pack must be stored before. */
  commit(manifest: BackupContent, options?: StoreOptions): Promise<Commit>
  /**
   * Gives the backup up, unless its commit was begun: whether that came through may be unknown. What it has stored stays
   * for the next backup to take over, as after a crash; that this one can never be committed is noted, so that no WAL is
   * kept for it.
   */
  interrupt(options?: StoreOptions): Promise<void>
  /** Gives the backup up and removes what was stored of it, unless its commit was begun or another backup uses it. */
  abandon(options?: StoreOptions): Promise<void>
}

/** A manifest but for what the session knows itself. */
export interface BackupContent extends Omit<ManifestHead, 'facts'> {
  readonly facts: Omit<BackupFacts, 'repositoryId' | 'cluster' | 'backup' | 'kind' | 'parent' | 'fileCount'>
  readonly files: readonly ManifestFile[] | ManifestLines
}

export interface BackupPlan {
  readonly cluster: string
  readonly kind: 'full' | 'incremental'
  readonly parent?: string | undefined
  /** The node that it is taken from. Whoever begins says that no other backup of this node is running. */
  readonly node?: string | undefined
}

/**
 * Begins a backup: stores a session object, so that a collection that begins later keeps its hands off the backup's
 * packs, its parent, those that it takes over, and all WAL; and then looks what collections have announced before, so
 * that the backup keeps its hands off what they remove. Throws `repository-backup-expiring` when that is the parent.
 */
export async function beginBackup(
  repository: Repository,
  plan: BackupPlan,
  options: StoreOptions & { readonly clock: Pick<Clock, 'wall'> },
): Promise<BackupSession> {
  const { cluster, kind, parent = null, node = null } = plan
  assertClusterName(cluster)
  const { store, keyring, id: repositoryId } = repository
  const beganAt = new Date(options.clock.wall()).toISOString()
  const backup = `${beganAt.replace(/[-:]|\.\d+/g, '')}-${randomBytes(4).toString('hex')}`
  const opened = await openSession(repository, cluster, { backup, kind, parent, node, beganAt }, options)
  const { collections, adoptablePacks } = opened
  if (parent !== null) {
    try {
      await assertMayBuildOn(repository, { cluster, backup: parent, collections }, options)
    } catch (error) {
      await store.delete(sessionObject(cluster, backup), options)
      throw error
    }
  }
  // A server has one backup at a time, and this one is it.
  const ended = opened.takesOver.filter((other) => node !== null && other.node === node)
  for (const other of ended) await shutOut(repository, { cluster, backup: other.backup }, options)
  const stored = new Map<string, PackReference>()
  let commitBegun = false
  return {
    cluster,
    backup,
    takesOver: opened.takesOver.map((other) => other.backup),
    adoptablePacks,
    packObject: (number) => packObject(cluster, backup, number),
    putPack: async (pack, storeOptions) => {
      await storeOnce(store, pack.objectKey, pack.bytes, storeOptions)
      const reference = { key: pack.objectKey, sha256: pack.sha256, sizeBytes: pack.sizeBytes }
      stored.set(reference.key, reference)
      return reference
    },
    commit: async ({ facts: found, files, ...head }, storeOptions) => {
      assertStored(found.packs, { stored, adoptable: new Set(adoptablePacks), isIncremental: parent !== null, backup })
      const lines = 'chunks' in files ? files : manifestLinesOf(files)
      const { fileCount } = lines
      assertWalStays(collections, { backup, ...found })
      const facts: BackupFacts = { ...found, repositoryId, cluster, backup, kind, parent, fileCount }
      const sealed = sealManifest(keyring, { ...head, facts }, lines)
      const manifest = { key: sealed.objectKey, sha256: sealed.sha256, sizeBytes: sealed.sizeBytes }
      const commit: Commit = { committedAt: options.clock.wall(), manifest, facts }
      // Read it as a restore will: maps with a hole, or a reference to nothing, must not become a backup.
      for (const _ of openManifest(keyring, commit, sealed.bytes).files());
      const shared = found.packs.map(({ key }) => key).filter((key) => !stored.has(key))
      await renewLocks(store, cluster, shared, storeOptions)
      commitBegun = true
      await storeOnce(store, sealed.objectKey, sealed.bytes, storeOptions)
      await storeCommit(store, commit, storeOptions)
      // The backup is there, whatever becomes of the session objects: the collector removes one that has a commit. What
      // was not taken over of those that died belongs to nobody now.
      for (const done of [backup, ...ended.map((other) => other.backup)]) {
        await store.delete(sessionObject(cluster, done), storeOptions).catch(() => undefined)
      }
      return commit
    },
    interrupt: async (storeOptions) => {
      if (commitBegun) return
      if (stored.size === 0) await removeSession(repository, { cluster, backup }, storeOptions)
      else await shutOut(repository, { cluster, backup }, storeOptions)
    },
    abandon: async (storeOptions) => {
      if (!commitBegun) await removeSession(repository, { cluster, backup }, storeOptions)
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

/**
 * A backup must not name a pack that is not durable: its own went by here, those that it takes over were there, and an
 * incremental one has looked for its parent's.
 */
function assertStored(
  packs: readonly PackReference[],
  known: {
    readonly stored: ReadonlyMap<string, PackReference>
    readonly adoptable: ReadonlySet<string>
    readonly isIncremental: boolean
    readonly backup: string
  },
): void {
  for (const pack of packs) {
    const found = known.stored.get(pack.key)
    const isOwn = found?.sha256 === pack.sha256 && found.sizeBytes === pack.sizeBytes
    const isParents = known.isIncremental && backupOfPack(pack.key) !== known.backup
    if (isOwn || isParents || known.adoptable.has(pack.key)) continue
    throw new Error(`the backup names a pack that was not stored: ${pack.key}`)
  }
}
