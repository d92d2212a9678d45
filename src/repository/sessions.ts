import type { Clock } from '../std/clock.ts'
import { Fault } from '../std/fault.ts'
import type { StoreOptions } from '../store/object-store.ts'
import { decodeCheckedJson, encodeCheckedJson, formatVersion } from './checked-json.ts'
import { listBackups } from './catalogue.ts'
import { readCollections } from './collection-notes.ts'
import type { CollectionNote } from './core/collection-note.ts'
import { isTombstone, tombstoneToJson } from './core/commit.ts'
import { commitObject, packsPrefix, sessionObject, sessionsPrefix } from './core/object-names.ts'
import { sessionFromJson, type SessionNote } from './core/session-note.ts'
import type { Repository } from './repository.ts'
import { readIfStored, storeOnce } from './stored-objects.ts'

/**
 * Sessions: what the repository knows of backups that are being taken, or that did not come to their end. One that cannot
 * be read throws `repository-object-damaged`, or is left out with `passOver`.
 */
export async function readSessions(
  repository: Repository,
  cluster: string,
  options: StoreOptions & { readonly passOver?: 'damaged' | undefined } = {},
): Promise<readonly SessionNote[]> {
  const sessions: SessionNote[] = []
  for await (const { key } of repository.store.list(sessionsPrefix(cluster), options)) {
    const bytes = await readIfStored(repository.store, key, options)
    if (bytes === undefined) continue
    try {
      sessions.push(decodeCheckedJson(key, bytes, sessionFromJson))
    } catch (error) {
      const isDamaged = error instanceof Fault && error.kind.exitClass === 'integrity'
      if (options.passOver === undefined || !isDamaged) throw error
    }
  }
  return sessions
}

/** Whether a backup can be committed: `shut-out` when a tombstone lies in the place of its commit. */
export async function readCommitPlace(
  repository: Repository,
  { cluster, backup }: { readonly cluster: string; readonly backup: string },
  options: StoreOptions = {},
): Promise<'open' | 'committed' | 'shut-out'> {
  const object = commitObject(cluster, backup)
  const bytes = await readIfStored(repository.store, object, options)
  if (bytes === undefined) return 'open'
  return decodeCheckedJson(object, bytes, isTombstone) ? 'shut-out' : 'committed'
}

/** Puts a tombstone where the commit of a backup would be. That the commit is there already is fine: then it is listed. */
export async function shutOut(
  repository: Repository,
  { cluster, backup }: { readonly cluster: string; readonly backup: string },
  options: StoreOptions = {},
): Promise<void> {
  const tombstone = tombstoneToJson({ repositoryId: repository.id, cluster, backup })
  await repository.store.create(commitObject(cluster, backup), encodeCheckedJson(tombstone), options)
}

export interface OpenedSession {
  readonly collections: readonly CollectionNote[]
  /** Backups that did not come to their end whose packs nobody removes as long as this session is there. */
  readonly takesOver: readonly SessionNote[]
  /** The packs that these have stored. */
  readonly adoptablePacks: readonly string[]
}

/** So many of the newest are taken over at most. */
const takeOverLimit = 16

/**
 * Stores the session of a backup, and looks then: what collections have announced, and which of the backups that it wants
 * to take over are still there. Whoever removes packs does it the other way round, so that of two that meet at least one
 * sees the other.
 */
export async function openSession(
  repository: Repository,
  cluster: string,
  note: Omit<SessionNote, 'takesOver' | 'beganAt' | 'copy'> & {
    readonly kind: 'full' | 'incremental'
    readonly beganAt: string
  },
  options: StoreOptions & { readonly clock: Pick<Clock, 'wall'> },
): Promise<OpenedSession> {
  const earlier = await readSessions(repository, cluster, { ...options, passOver: 'damaged' })
  const wanted = earlier.toSorted((a, b) => b.beganAt - a.beganAt).slice(0, takeOverLimit)
  const takesOver = wanted.map(({ backup }) => backup)
  const session = { format: formatVersion, repositoryId: repository.id, cluster, ...note, takesOver }
  await storeOnce(repository.store, sessionObject(cluster, note.backup), encodeCheckedJson(session), options)
  const collections = await readCollections(repository, cluster, options)
  const going = new Set(collections.flatMap(({ backups }) => backups))
  const free: SessionNote[] = []
  for (const other of wanted) {
    if (going.has(other.backup)) continue
    if ((await repository.store.size(sessionObject(cluster, other.backup), options)) === undefined) continue
    if ((await readCommitPlace(repository, { cluster, backup: other.backup }, options)) === 'committed') continue
    free.push(other)
  }
  const adoptablePacks: string[] = []
  for (const { backup } of free) {
    for await (const { key } of repository.store.list(packsPrefix(cluster, backup), options)) adoptablePacks.push(key)
  }
  return { collections, takesOver: free, adoptablePacks }
}

/**
 * Removes the packs of a backup that its own process gives up, unless another backup has taken them over or may do so: its
 * session goes first, so that none begins to. Sessions are looked at before commits, since they go only after these came.
 */
export async function removeSession(
  repository: Repository,
  { cluster, backup }: { readonly cluster: string; readonly backup: string },
  options: StoreOptions = {},
): Promise<void> {
  const { store } = repository
  await store.delete(sessionObject(cluster, backup), options)
  const others = await readSessions(repository, cluster, options)
  if (others.some(({ takesOver }) => takesOver.includes(backup))) return
  const packs: string[] = []
  for await (const { key } of store.list(packsPrefix(cluster, backup), options)) packs.push(key)
  if (packs.length === 0) return
  const { backups, damaged } = await listBackups(repository, cluster, options)
  const used = new Set(backups.flatMap(({ facts }) => facts.packs.map(({ key }) => key)))
  if (damaged.length > 0 || packs.some((key) => used.has(key))) return
  for (const key of packs) await store.delete(key, options)
}
