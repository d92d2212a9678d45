import { Fault } from '../std/fault.ts'
import type { StoreOptions } from '../store/object-store.ts'
import type { Lsn, TimelineId } from '../wal/core/lsn.ts'
import {
  historyObject,
  isSegmentName,
  parseTailName,
  parseWalName,
  segmentObject,
  segmentStart,
  tailObject,
  tailsPrefix,
  walPrefix,
  type TailName,
} from './core/object-names.ts'
import type { RecordDescription } from './core/record.ts'
import type { WalInventory } from './core/wal-coverage.ts'
import { objectFault } from './damage.ts'
import { repositoryFaults } from './faults.ts'
import { createPackBuilder } from './pack-builder.ts'
import { openPack } from './pack-reader.ts'
import { assertClusterName, type Repository } from './repository.ts'
import { readIfStored } from './stored-objects.ts'

/** WAL is cut into records of this size, so that no single call blocks the archiver for long. */
const walRecordBytes = 4 * 1024 * 1024

/**
 * Stores a whole segment. `identical` when the repository has the same content already. Throws
 * `repository-wal-conflict` when it has another content: then two servers write the same history.
 */
export async function putWalSegment(
  repository: Repository,
  segment: { readonly cluster: string; readonly name: string; readonly bytes: Uint8Array },
  options: StoreOptions = {},
): Promise<'created' | 'identical'> {
  const { cluster, name, bytes } = segment
  assertSegmentName(name)
  // The size of segments is a power of two; a part of one under its name would pass for the whole.
  if (!Number.isInteger(Math.log2(bytes.length))) throw new Error(`${bytes.length} bytes are no whole WAL segment`)
  const startLsn = segmentStart(name, bytes.length)
  return putWal(
    repository,
    segmentObject(clusterOf(cluster), name),
    walRecords(timelineOf(name), startLsn, bytes),
    options,
  )
}

/** The content of a segment. Throws `repository-wal-missing`, or `repository-object-damaged`. */
export async function readWalSegment(
  repository: Repository,
  segment: { readonly cluster: string; readonly name: string },
  options: StoreOptions = {},
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
  return putWal(repository, object, walRecords(tail.timeline, tail.startLsn, tail.bytes), options)
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

/** Stores a timeline history file. Throws `repository-wal-conflict` as for segments. */
export async function putHistory(
  repository: Repository,
  history: { readonly cluster: string; readonly timeline: TimelineId; readonly bytes: Uint8Array },
  options: StoreOptions = {},
): Promise<'created' | 'identical'> {
  const { timeline, bytes } = history
  const object = historyObject(clusterOf(history.cluster), timeline)
  return putWal(repository, object, [{ type: 'history', meta: { timeline }, plain: bytes }], options)
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

type PlainRecord = RecordDescription & { readonly plain: Uint8Array }

function* walRecords(timeline: TimelineId, startLsn: Lsn, bytes: Uint8Array): Generator<PlainRecord> {
  for (let at = 0; at < bytes.length; at += walRecordBytes) {
    const meta = { timeline, startLsn: (startLsn + BigInt(at)) as Lsn }
    yield { type: 'wal', meta, plain: bytes.subarray(at, at + walRecordBytes) }
  }
}

async function putWal(
  repository: Repository,
  object: string,
  records: Iterable<PlainRecord>,
  options: StoreOptions,
): Promise<'created' | 'identical'> {
  const builder = createPackBuilder(repository.keyring, object, repository)
  const plain: Uint8Array[] = []
  for (const record of records) {
    builder.add(record)
    plain.push(record.plain)
  }
  if ((await repository.store.create(object, builder.finish().bytes, options)) === 'created') return 'created'
  const present = await readWal(repository, object, undefined, options)
  if (present !== undefined && Buffer.compare(present, Buffer.concat(plain)) === 0) return 'identical'
  throw new Fault(
    repositoryFaults['repository-wal-conflict'],
    `Cannot store ${object}: the repository already has different WAL under this name`,
    { details: { object } },
  )
}

/** All records joined; undefined when there is no such object. */
async function readWal(
  repository: Repository,
  object: string,
  type: 'wal' | 'history' | undefined,
  options: StoreOptions,
): Promise<Uint8Array | undefined> {
  const bytes = await readIfStored(repository.store, object, options)
  if (bytes === undefined) return undefined
  const pack = openPack(repository.keyring, object, bytes)
  if (type !== undefined && pack.records.some((record) => record.type !== type)) {
    throw objectFault(object, 'altered', `it holds records that are not of type ${type}`)
  }
  return Buffer.concat(pack.records.map((_, number) => pack.read(number)))
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
