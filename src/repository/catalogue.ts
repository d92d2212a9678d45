import { Fault, isFault } from '../std/fault.ts'
import type { StoreOptions } from '../store/object-store.ts'
import { decodeCheckedJson, encodeCheckedJson } from './checked-json.ts'
import { commitFromJson, commitToJson, isTombstone, type Commit } from './core/commit.ts'
import type { Manifest } from './core/manifest.ts'
import { backupsPrefix, commitObject, isBackupId, manifestObject } from './core/object-names.ts'
import { objectFault } from './damage.ts'
import { repositoryFaults } from './faults.ts'
import { openManifest, type ManifestReader } from './manifest-object.ts'
import { assertClusterName, type Repository } from './repository.ts'
import { readIfStored, readStored } from './stored-objects.ts'

export interface BackupCatalogue {
  /** In the order in which they were started: by their place in the WAL, since the clock may have stepped. */
  readonly backups: readonly Commit[]
  /** Backups whose commit object cannot be read: named, since a backup that is silently gone is worse. */
  readonly damaged: readonly DamagedBackup[]
}

export interface DamagedBackup {
  readonly backup: string
  readonly fault: Fault
}

/** The committed backups of a cluster. Backups that were never committed do not appear. */
export async function listBackups(
  repository: Repository,
  cluster: string,
  options: StoreOptions = {},
): Promise<BackupCatalogue> {
  assertClusterName(cluster)
  const backups: Commit[] = []
  const damaged: DamagedBackup[] = []
  const prefix = backupsPrefix(cluster)
  for await (const { key } of repository.store.list(prefix, options)) {
    const [backup = '', name, ...more] = key.slice(prefix.length).split('/')
    if (name !== 'commit.json' || more.length > 0) continue
    try {
      const commit = await readCommit(repository, { cluster, backup }, options)
      backups.push(commit)
    } catch (error) {
      // Expired while we listed.
      if (isFault(error, repositoryFaults['repository-backup-not-found'])) continue
      if (!(error instanceof Fault) || !isObjectFault(error)) throw error
      damaged.push({ backup, fault: error })
    }
  }
  return { backups: backups.toSorted(byPlaceInWal), damaged }
}

function byPlaceInWal({ facts: a }: Commit, { facts: b }: Commit): number {
  if (a.timeline !== b.timeline) return a.timeline - b.timeline
  return a.startLsn < b.startLsn ? -1 : a.startLsn > b.startLsn ? 1 : 0
}

/** The commit of one backup. Throws `repository-backup-not-found` or `repository-object-damaged`. */
export async function readCommit(
  repository: Repository,
  { cluster, backup }: { readonly cluster: string; readonly backup: string },
  options: StoreOptions = {},
): Promise<Commit> {
  assertClusterName(cluster)
  const object = commitObject(cluster, backup)
  const bytes = isBackupId(backup) ? await readIfStored(repository.store, object, options) : undefined
  const commit = bytes === undefined ? undefined : decodeCheckedJson(object, bytes, commitOrTombstone)
  if (commit === undefined) {
    throw new Fault(
      repositoryFaults['repository-backup-not-found'],
      `Cannot find backup ${backup} of cluster ${cluster} in ${repository.store.description}`,
      { details: { cluster, backup } },
    )
  }
  const { facts } = commit
  const belongsHere = facts.repositoryId === repository.id && facts.cluster === cluster && facts.backup === backup
  if (belongsHere && commit.manifest.key === manifestObject(cluster, backup)) return commit
  throw objectFault(object, 'swapped', `it is the commit of backup ${facts.backup} of cluster ${facts.cluster}`)
}

function commitOrTombstone(value: unknown): Commit | undefined {
  return isTombstone(value) ? undefined : commitFromJson(value)
}

/** A commit as bytes, for the writer. */
export function encodeCommit(commit: Commit): Uint8Array {
  return encodeCheckedJson(commitToJson(commit))
}

/**
 * The manifest of a committed backup, with its hash, its authenticity and its facts verified against the commit; its
 * files are read one after the other. Throws `repository-object-missing` or `repository-object-damaged`.
 */
export async function openBackupManifest(
  repository: Repository,
  commit: Commit,
  options: StoreOptions = {},
): Promise<ManifestReader> {
  return openManifest(repository.keyring, commit, await readStored(repository.store, commit.manifest.key, options))
}

/** As {@link openBackupManifest}, with all files in memory: for backups that are known to be small. */
export async function readManifest(
  repository: Repository,
  commit: Commit,
  options: StoreOptions = {},
): Promise<Manifest> {
  const { files, ...head } = await openBackupManifest(repository, commit, options)
  return { ...head, files: [...files()] }
}

/** True for the faults that say that an object is bad, as opposed to a store that does not answer. */
export function isObjectFault(fault: Fault): boolean {
  return (
    isFault(fault, repositoryFaults['repository-object-damaged']) ||
    isFault(fault, repositoryFaults['repository-object-missing']) ||
    isFault(fault, repositoryFaults['repository-key-missing']) ||
    isFault(fault, repositoryFaults['repository-format-unsupported'])
  )
}
