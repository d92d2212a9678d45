import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type BackupSession, beginBackup } from '../repository/backup-session.ts'
import { isObjectFault, listBackups, openBackupManifest, readCommit } from '../repository/catalogue.ts'
import type { Commit } from '../repository/core/commit.ts'
import type { ManifestReader } from '../repository/manifest-object.ts'
import { repositoryFaults } from '../repository/faults.ts'
import type { Repository } from '../repository/repository.ts'
import type { Clock } from '../std/clock.ts'
import { Fault, isFault } from '../std/fault.ts'
import type { TimelineId } from '../wal/core/lsn.ts'
import { historyFileName } from '../wal/core/segment.ts'
import { firstTimelineHistory, parseTimelineHistory, type TimelineHistory } from '../wal/core/timeline-history.ts'
import { chooseParent, type FullReason } from './core/choose-parent.ts'
import { isGone } from './list-data-directory.ts'
import type { ServerSession } from './server-session.ts'

/** A backup that has begun, and what it goes on from. */
export interface BegunBackup {
  readonly session: BackupSession
  readonly base: { readonly parent: Commit; readonly manifest: ManifestReader } | { readonly full: FullReason }
}

interface Place {
  readonly repository: Repository
  readonly cluster: string
  readonly dataDirectory: string
}

/**
 * Begins an incremental backup where there is a parent whose manifest and packs are all there, else a full one. They are
 * looked at after the session object is stored, which keeps the collector's hands off them.
 */
export async function beginWithParent(
  { repository, cluster, dataDirectory }: Place,
  server: ServerSession,
  options: {
    readonly clock: Clock
    readonly full: boolean
    readonly node: string | undefined
    readonly signal?: AbortSignal | undefined
  },
): Promise<BegunBackup> {
  const begin = (parent?: string): Promise<BackupSession> =>
    beginBackup(
      repository,
      { cluster, kind: parent === undefined ? 'full' : 'incremental', parent, node: options.node },
      options,
    )
  const beginOn = (parent: string): Promise<BackupSession | undefined> =>
    begin(parent).catch((error: unknown) => {
      if (isGoing(error)) return undefined
      throw error
    })
  if (options.full) return { session: await begin(), base: { full: 'wanted' } }
  const { timeline, lsn } = await server.position()
  const history = await readHistory(dataDirectory, timeline)
  const { backups } = await listBackups(repository, cluster, options)
  const chosen = chooseParent(backups, { ...server.facts, history, lsn })
  if ('full' in chosen) return { session: await begin(), base: chosen }
  const session = await beginOn(chosen.parent.facts.backup)
  if (session === undefined) return { session: await begin(), base: { full: 'parent-expiring' } }
  try {
    const manifest = await readIntactParent(repository, chosen.parent, options.signal)
    if (manifest !== undefined) return { session, base: { ...chosen, manifest } }
  } catch (error) {
    await session.abandon().catch(() => undefined)
    throw error
  }
  await session.abandon(options)
  return { session: await begin(), base: { full: 'parent-damaged' } }
}

/** True when a collection has announced the backup that was to be built on, or has removed it already. */
function isGoing(error: unknown): boolean {
  const kinds = [repositoryFaults['repository-backup-expiring'], repositoryFaults['repository-backup-not-found']]
  return kinds.some((kind) => isFault(error, kind))
}

/** The history of the timeline that the server writes. Without its file only backups of that timeline are ancestors. */
async function readHistory(dataDirectory: string, timeline: TimelineId): Promise<TimelineHistory> {
  try {
    const text = await readFile(join(dataDirectory, 'pg_wal', historyFileName(timeline)), 'utf8')
    const parsed = parseTimelineHistory(timeline, text)
    return 'history' in parsed ? parsed.history : firstTimelineHistory(timeline)
  } catch (error) {
    if (isGone(error)) return firstTimelineHistory(timeline)
    throw error
  }
}

/** The manifest of a backup that is still listed and whose packs are all there with their sizes; undefined otherwise. */
async function readIntactParent(
  repository: Repository,
  { facts }: Commit,
  signal: AbortSignal | undefined,
): Promise<ManifestReader | undefined> {
  try {
    const commit = await readCommit(repository, facts, { signal })
    const manifest = await openBackupManifest(repository, commit, { signal })
    return (await allPresent(repository, commit, signal)) ? manifest : undefined
  } catch (error) {
    const gone = isFault(error, repositoryFaults['repository-backup-not-found'])
    if (gone || (error instanceof Fault && isObjectFault(error))) return undefined
    throw error
  }
}

const lookUpsAtOnce = 16

async function allPresent(
  repository: Repository,
  { facts }: Commit,
  signal: AbortSignal | undefined,
): Promise<boolean> {
  const queue = facts.packs.values()
  let complete = true
  const looking = Array.from({ length: lookUpsAtOnce }, async () => {
    for (const { key, sizeBytes } of queue) {
      if (!complete) return
      if ((await repository.store.size(key, { signal })) !== sizeBytes) complete = false
    }
  })
  await Promise.all(looking)
  return complete
}
