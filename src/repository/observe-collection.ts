import { Fault } from '../std/fault.ts'
import type { StoreOptions } from '../store/object-store.ts'
import type { TimelineId } from '../wal/core/lsn.ts'
import { firstTimelineHistory, parseTimelineHistory, type TimelineHistory } from '../wal/core/timeline-history.ts'
import { listBackups } from './catalogue.ts'
import { readClusterIdentity } from './cluster-identity.ts'
import type { BackupObject, CollectionView, FirstRepository, WalObject } from './core/collection.ts'
import type { Commit } from './core/commit.ts'
import {
  backupsPrefix,
  clusterPacksPrefix,
  commitObject,
  historyObject,
  parseTailName,
  parseWalName,
  segmentStart,
  tailsPrefix,
  walPrefix,
  type TailName,
} from './core/object-names.ts'
import { objectFault } from './damage.ts'
import { repositoryFaults } from './faults.ts'
import { listGapObjects } from './gaps.ts'
import { readHolds } from './holds.ts'
import type { Repository } from './repository.ts'
import { readCommitPlace, readSessions, shutOut } from './sessions.ts'
import { readHistory } from './wal-objects.ts'

/**
 * Looks at everything that collecting depends on, in an order that cannot mislead: packs and manifests before sessions,
 * since a session is there before its first pack; sessions before commits, since a session goes only after its commit
 * has come. Between the two, backups in `ended` are shut out for good: none of them can be committed any more. Throws
 * `repository-collection-unsafe` when a commit cannot be read.
 */
export async function observeCollection(
  repository: Repository,
  cluster: string,
  ended: readonly string[],
  options: StoreOptions = {},
): Promise<CollectionView> {
  const packs = await listBackupObjects(repository, clusterPacksPrefix(cluster), /^[0-9]+$/, options)
  const manifests = await listBackupObjects(repository, backupsPrefix(cluster), /^manifest$/, options)
  const sessions = await readSessions(repository, cluster, options)
  for (const backup of ended) await shutOut(repository, { cluster, backup }, options)
  const commits = await listCommits(repository, cluster, options)
  const interrupted = new Set<string>()
  for (const { backup } of sessions) {
    if ((await readCommitPlace(repository, { cluster, backup }, options)) === 'shut-out') interrupted.add(backup)
  }
  const holds = await readHolds(repository, cluster, options)
  const gaps = await listGapObjects(repository, cluster, options)
  const identity = await readClusterIdentity(repository, cluster, options)
  const walSegmentBytes = identity?.walSegmentBytes ?? commits.at(-1)?.facts.walSegmentBytes
  // Who archives or backs up first says what the cluster is: without that there is no WAL to speak of.
  const wal =
    walSegmentBytes === undefined
      ? { segments: [], tails: [], oddFiles: [], histories: [], timelines: [], walSegmentBytes: 1 }
      : { ...(await listWal(repository, cluster, walSegmentBytes, options)), walSegmentBytes }
  const timelines = [...new Set([...wal.timelines, ...commits.map(({ facts }) => facts.timeline)])]
  const first = timelines.includes(1 as TimelineId) && !wal.histories.some(({ timeline }) => timeline === 1)
  const histories = first ? [firstTimelineHistory(), ...wal.histories] : wal.histories
  return { ...wal, packs, manifests, sessions, interrupted, commits, holds, gaps, timelines, histories }
}

/** What the first repository has of a cluster, for an expiry in a copy of it. */
export async function observeFirst(
  first: Repository,
  cluster: string,
  options: StoreOptions = {},
): Promise<FirstRepository> {
  const keys = new Set<string>()
  for await (const { key } of first.store.list(`${cluster}/`, options)) keys.add(key)
  const prefix = backupsPrefix(cluster)
  const commits = [...keys].filter((key) => key.startsWith(prefix) && key.endsWith('/commit.json'))
  return { keys, backups: new Set(commits.map((key) => key.slice(prefix.length, -'/commit.json'.length))) }
}

async function listCommits(repository: Repository, cluster: string, options: StoreOptions): Promise<readonly Commit[]> {
  const { backups, damaged } = await listBackups(repository, cluster, options)
  if (damaged.length === 0) return backups
  const names = damaged.map(({ backup }) => commitObject(cluster, backup))
  throw new Fault(
    repositoryFaults['repository-collection-unsafe'],
    `Cannot tell what may be removed: what it needs cannot be read from ${names.join(', ')}`,
    { details: { cluster, damaged: names }, cause: damaged[0]?.fault },
  )
}

async function listBackupObjects(
  repository: Repository,
  prefix: string,
  name: RegExp,
  options: StoreOptions,
): Promise<readonly BackupObject[]> {
  const found: BackupObject[] = []
  for await (const { key, sizeBytes } of repository.store.list(prefix, options)) {
    const [backup = '', last = '', ...more] = key.slice(prefix.length).split('/')
    if (more.length === 0 && name.test(last)) found.push({ key, sizeBytes, backup })
  }
  return found
}

async function listWal(
  repository: Repository,
  cluster: string,
  walSegmentBytes: number,
  options: StoreOptions,
): Promise<Pick<CollectionView, 'segments' | 'tails' | 'oddFiles' | 'histories' | 'timelines'>> {
  const oddFiles: WalObject[] = []
  const segments: (WalObject & { readonly name: string })[] = []
  const tails: (WalObject & TailName)[] = []
  const histories: TimelineHistory[] = []
  const timelines = new Set<TimelineId>()
  const [wal, tail] = [walPrefix(cluster), tailsPrefix(cluster)]
  // Tails first: one whose segment is completed in between is then seen at least as the segment.
  for await (const { key, sizeBytes } of repository.store.list(tail, options)) {
    const found = parseTailName(key.slice(tail.length))
    if (found !== undefined) tails.push({ key, sizeBytes, ...found })
  }
  for await (const { key, sizeBytes } of repository.store.list(wal, options)) {
    const found = parseWalName(key.slice(wal.length))
    if (found === undefined) continue
    timelines.add(found.timeline)
    if (found.kind === 'segment') {
      const startLsn = segmentStart(found.name, walSegmentBytes)
      segments.push({ key, sizeBytes, timeline: found.timeline, name: found.name, startLsn })
    } else if (found.kind === 'history') {
      histories.push(await historyOf(repository, cluster, found.timeline, options))
    } else {
      const startLsn = segmentStart(found.name, walSegmentBytes)
      oddFiles.push({ key, sizeBytes, timeline: found.timeline, startLsn })
    }
  }
  for (const { timeline } of tails) timelines.add(timeline)
  return { segments, tails, oddFiles, histories, timelines: [...timelines] }
}

async function historyOf(
  repository: Repository,
  cluster: string,
  timeline: TimelineId,
  options: StoreOptions,
): Promise<TimelineHistory> {
  const bytes = await readHistory(repository, { cluster, timeline }, options)
  const parsed = parseTimelineHistory(timeline, Buffer.from(bytes).toString('utf8'))
  if ('history' in parsed) return parsed.history
  throw objectFault(historyObject(cluster, timeline), 'altered', parsed.malformed)
}
