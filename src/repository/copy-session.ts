import type { Clock } from '../std/clock.ts'
import type { StoreOptions } from '../store/object-store.ts'
import { encodeCheckedJson, formatVersion } from './checked-json.ts'
import { readCollections } from './collection-notes.ts'
import type { CollectionNote } from './core/collection-note.ts'
import type { Commit } from './core/commit.ts'
import { backupOfPack, sessionObject } from './core/object-names.ts'
import { copyNeedsToJson } from './core/session-note.ts'
import type { Repository } from './repository.ts'

/**
 * Says in a copy of a repository that a backup is being copied there, so that a collection keeps its hands off what the
 * backup needs; and then looks what collections have announced before. `expiring`: one of them removes something of it,
 * so it must not be copied now. Ends with {@link endCopy}; after a crash it is begun again, whoever does it.
 */
export async function beginCopy(
  copy: Repository,
  commit: Commit,
  options: StoreOptions & { readonly clock: Pick<Clock, 'wall'> },
): Promise<'begun' | 'expiring'> {
  const { cluster, backup, kind, packs, timeline, startLsn, stopLsn } = commit.facts
  const shared = packs.map(({ key }) => key).filter((key) => backupOfPack(key) !== backup)
  const session = {
    format: formatVersion,
    repositoryId: copy.id,
    cluster,
    backup,
    kind,
    parent: null,
    beganAt: new Date(options.clock.wall()).toISOString(),
    copy: copyNeedsToJson({ packs: shared, timeline, startLsn, stopLsn }),
  }
  // One that exists is of an earlier attempt, which needed the same.
  await copy.store.create(sessionObject(cluster, backup), encodeCheckedJson(session), options)
  const collections = await readCollections(copy, cluster, options)
  return collections.some((note) => touches(note, commit)) ? 'expiring' : 'begun'
}

/** The backup is committed in the copy, or not wanted there any more. */
export async function endCopy(copy: Repository, commit: Commit, options: StoreOptions = {}): Promise<void> {
  await copy.store.delete(sessionObject(commit.facts.cluster, commit.facts.backup), options)
}

function touches({ backups, leftovers, wal }: CollectionNote, { facts }: Commit): boolean {
  const going = new Set([...backups, ...leftovers])
  return (
    going.has(facts.backup) ||
    facts.packs.some(({ key }) => going.has(backupOfPack(key))) ||
    wal.some(
      ({ timeline, startLsn, endLsn }) =>
        timeline === facts.timeline && startLsn < facts.stopLsn && endLsn > facts.startLsn,
    )
  )
}
