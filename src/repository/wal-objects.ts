import { Fault } from '../std/fault.ts'
import type { StoreOptions } from '../store/object-store.ts'
import type { TimelineId } from '../wal/core/lsn.ts'
import { parseTimelineHistory, type TimelineHistory } from '../wal/core/timeline-history.ts'
import {
  historyObject,
  isSegmentName,
  parseTailName,
  parseWalName,
  segmentObject,
  segmentStart,
  tailObject,
  tailsPrefix,
  walFileObject,
  walPrefix,
  type TailName,
} from './core/object-names.ts'
import type { WalInventory } from './core/wal-coverage.ts'
import { objectFault } from './damage.ts'
import { repositoryFaults } from './faults.ts'
import { createPackBuilder } from './pack-builder.ts'
import { assertClusterName, type Repository } from './repository.ts'
import { readIfStored } from './stored-objects.ts'
import { openWalPack, sealWalPack, type WalPlace } from './wal-pack.ts'
import type { WalThreads } from './wal-threads.ts'

export interface WalOptions extends StoreOptions {
  /** Threads that seal and open whole segments; without them this thread does. They take the bytes away. */
  readonly threads?: WalThreads | undefined
}

/**
 * Stores a whole segment. `identical` when the repository has the same content already. Throws
 * `repository-wal-conflict` when it has another content: then two servers write the same history.
 */
export async function putWalSegment(
  repository: Repository,
  segment: { readonly cluster: string; readonly name: string; readonly bytes: Uint8Array },
  options: WalOptions = {},
): Promise<'created' | 'identical'> {
  assertSegmentName(segment.name)
  return await putSegmentFile(repository, segment, options)
}

/** Stores an unfinished last segment of a timeline under its own name, `….partial`; it never counts as the segment. */
export async function putPartialSegment(
  repository: Repository,
  segment: { readonly cluster: string; readonly name: string; readonly bytes: Uint8Array },
  options: WalOptions = {},
): Promise<'created' | 'identical'> {
  if (!segment.name.endsWith('.partial')) throw new Error(`not the name of a partial segment: ${segment.name}`)
  return await putSegmentFile(repository, segment, options)
}

async function putSegmentFile(
  repository: Repository,
  segment: { readonly cluster: string; readonly name: string; readonly bytes: Uint8Array },
  options: WalOptions,
): Promise<'created' | 'identical'> {
  const { cluster, name, bytes } = segment
  // The size of segments is a power of two; a part of one under its name would pass for the whole.
  if (!Number.isInteger(Math.log2(bytes.length))) throw new Error(`${bytes.length} bytes are no whole WAL segment`)
  const place = { timeline: timelineOf(name), startLsn: segmentStart(name, bytes.length) }
  return await putWal(repository, walFileObject(clusterOf(cluster), name), place, bytes, options)
}

/** Stores the label of a backup, `<segment>.<offset>.backup`, that `archive_command` was given. Nothing needs it. */
export async function putBackupLabel(
  repository: Repository,
  label: { readonly cluster: string; readonly name: string; readonly bytes: Uint8Array },
  options: StoreOptions = {},
): Promise<'created' | 'identical'> {
  const object = walFileObject(clusterOf(label.cluster), label.name)
  return await putText(repository, object, timelineOf(label.name), label.bytes, () => false, options)
}

/** A partial segment or the label of a backup, as it was stored; undefined when there is none. */
export async function readOddWalFile(
  repository: Repository,
  file: { readonly cluster: string; readonly name: string },
  options: WalOptions = {},
): Promise<Uint8Array | undefined> {
  return await readWal(repository, walFileObject(clusterOf(file.cluster), file.name), undefined, options)
}

/** The content of a segment. Throws `repository-wal-missing`, or `repository-object-damaged`. */
export async function readWalSegment(
  repository: Repository,
  segment: { readonly cluster: string; readonly name: string },
  options: WalOptions = {},
): Promise<Uint8Array> {
  assertSegmentName(segment.name)
  const object = segmentObject(clusterOf(segment.cluster), segment.name)
  return (await readWal(repository, object, 'wal', options)) ?? missing(object)
}

/** Stores flushed WAL of a segment that is not complete yet. */
export async function putTail(
  repository: Repository,
  tail: TailName & { readonly cluster: string; readonly bytes: Uint8Array },
  options: StoreOptions = {},
): Promise<'created' | 'identical'> {
  if (BigInt(tail.bytes.length) !== tail.endLsn - tail.startLsn) throw new Error('a tail must fill its range exactly')
  const object = tailObject(clusterOf(tail.cluster), tail)
  return await putWal(repository, object, tail, tail.bytes, options)
}

/** The content of a tail part. Throws `repository-wal-missing`, or `repository-object-damaged`. */
export async function readTail(
  repository: Repository,
  tail: TailName & { readonly cluster: string },
  options: StoreOptions = {},
): Promise<Uint8Array> {
  const object = tailObject(clusterOf(tail.cluster), tail)
  const bytes = (await readWal(repository, object, 'wal', options)) ?? missing(object)
  if (BigInt(bytes.length) === tail.endLsn - tail.startLsn) return bytes
  throw objectFault(object, 'altered', `it holds ${bytes.length} bytes, not what its name says`)
}

/** Removes a tail part, once its segment is stored. */
export async function deleteTail(
  repository: Repository,
  tail: TailName & { readonly cluster: string },
  options: StoreOptions = {},
): Promise<void> {
  await repository.store.delete(tailObject(clusterOf(tail.cluster), tail), options)
}

/**
 * Stores a timeline history file. Throws `repository-wal-conflict` as for segments. One that tells the same in other words
 * is the same: what comes through a server's descendants has lost its comments.
 */
export async function putHistory(
  repository: Repository,
  history: { readonly cluster: string; readonly timeline: TimelineId; readonly bytes: Uint8Array },
  options: StoreOptions = {},
): Promise<'created' | 'identical'> {
  const { timeline, bytes } = history
  const object = historyObject(clusterOf(history.cluster), timeline)
  return await putText(repository, object, timeline, bytes, (present) => sameHistory(timeline, present, bytes), options)
}

function sameHistory(timeline: TimelineId, left: Uint8Array, right: Uint8Array): boolean {
  const [one, other] = [left, right].map((bytes) => parseTimelineHistory(timeline, Buffer.from(bytes).toString('utf8')))
  if (one === undefined || other === undefined || !('history' in one) || !('history' in other)) return false
  const way = ({ ancestors }: TimelineHistory): string =>
    ancestors.map((ancestor) => `${ancestor.timeline} ${ancestor.switchLsn}`).join()
  return way(one.history) === way(other.history)
}

/** A timeline history file. Throws `repository-wal-missing`, or `repository-object-damaged`. */
export async function readHistory(
  repository: Repository,
  history: { readonly cluster: string; readonly timeline: TimelineId },
  options: StoreOptions = {},
): Promise<Uint8Array> {
  const object = historyObject(clusterOf(history.cluster), history.timeline)
  return (await readWal(repository, object, 'history', options)) ?? missing(object)
}

/** What WAL the repository holds of a cluster, by its names alone. */
export async function walInventory(
  repository: Repository,
  cluster: string,
  options: StoreOptions = {},
): Promise<WalInventory> {
  const inventory: { segments: WalInventory['segments'][number][]; tails: TailName[]; histories: TimelineId[] } = {
    segments: [],
    tails: [],
    histories: [],
  }
  const wal = walPrefix(clusterOf(cluster))
  const tails = tailsPrefix(cluster)
  // Tails first: one whose segment is completed in between is then seen at least as the segment.
  for await (const { key } of repository.store.list(tails, options)) {
    const tail = parseTailName(key.slice(tails.length))
    if (tail !== undefined) inventory.tails.push(tail)
  }
  for await (const { key } of repository.store.list(wal, options)) {
    const found = parseWalName(key.slice(wal.length))
    if (found?.kind === 'segment') inventory.segments.push({ timeline: found.timeline, name: found.name })
    else if (found?.kind === 'history') inventory.histories.push(found.timeline)
  }
  return inventory
}

async function putWal(
  repository: Repository,
  object: string,
  place: WalPlace,
  bytes: Uint8Array,
  options: WalOptions,
): Promise<'created' | 'identical'> {
  const { sealed, plain } =
    options.threads === undefined
      ? { sealed: sealWalPack(repository, object, place, bytes), plain: bytes }
      : await options.threads.seal(object, place, bytes)
  if ((await repository.store.create(object, sealed, options)) === 'created') return 'created'
  return await compareWithPresent(repository, object, (present) => sameBytes(present, plain), options)
}

async function putText(
  repository: Repository,
  object: string,
  timeline: TimelineId,
  bytes: Uint8Array,
  alsoSame: (present: Uint8Array) => boolean,
  options: StoreOptions,
): Promise<'created' | 'identical'> {
  const isSame = (present: Uint8Array): boolean => sameBytes(present, bytes) || alsoSame(present)
  const builder = createPackBuilder(repository.keyring, object, repository)
  builder.add({ type: 'history', meta: { timeline }, plain: bytes })
  if ((await repository.store.create(object, builder.finish().bytes, options)) === 'created') return 'created'
  return await compareWithPresent(repository, object, isSame, options)
}

async function compareWithPresent(
  repository: Repository,
  object: string,
  isSame: (present: Uint8Array) => boolean,
  options: WalOptions,
): Promise<'identical'> {
  const present = await readWal(repository, object, undefined, options)
  if (present !== undefined && isSame(present)) return 'identical'
  throw new Fault(
    repositoryFaults['repository-wal-conflict'],
    `Cannot store ${object}: ${repository.store.description} already has different WAL under this name`,
    { details: { object, store: repository.store.description } },
  )
}

function sameBytes(left: Uint8Array, right: Uint8Array): boolean {
  return Buffer.compare(left, right) === 0
}

/** All records joined; undefined when there is no such object. */
async function readWal(
  { keyring, store }: Repository,
  object: string,
  type: 'wal' | 'history' | undefined,
  options: WalOptions,
): Promise<Uint8Array | undefined> {
  const bytes = await readIfStored(store, object, options)
  if (bytes === undefined) return undefined
  return await (options.threads?.open(object, bytes, type) ?? openWalPack(keyring, object, bytes, type))
}

function clusterOf(name: string): string {
  assertClusterName(name)
  return name
}

function timelineOf(segmentName: string): TimelineId {
  return Number.parseInt(segmentName.slice(0, 8), 16) as TimelineId
}

function assertSegmentName(name: string): void {
  if (!isSegmentName(name)) throw new Error(`not the name of a WAL segment: ${name}`)
}

function missing(object: string): never {
  throw new Fault(
    repositoryFaults['repository-wal-missing'],
    `Cannot read ${object}: the repository does not have it`,
    {
      details: { object },
    },
  )
}
