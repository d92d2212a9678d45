import { contiguousTail, type WalInventory } from '../repository/core/wal-coverage.ts'
import type { Repository } from '../repository/repository.ts'
import { readTail, readWalSegment, walInventory } from '../repository/wal-objects.ts'
import { Fault } from '../std/fault.ts'
import type { StoreOptions } from '../store/object-store.ts'
import { formatLsn, type Lsn } from '../wal/core/lsn.ts'
import { walPageBytes } from '../wal/core/page-header.ts'
import { readRecords, type WalPages } from '../wal/core/record-reader.ts'
import { segmentFileName, segmentOf, segmentStart, type SegmentNumber } from '../wal/core/segment.ts'
import { blockKey, recordBytes, rewrittenBlocks } from './core/block-references.ts'
import { backupFaults } from './faults.ts'
import type { NeededWal } from './wait-for-wal.ts'

/**
 * Which of the pages in `wanted` (by their {@link blockKey}) the backup's own WAL makes anew when it is replayed. The
 * WAL is read from the repository, where all of it must be, a segment at a time.
 */
export async function findRewrittenPages(
  repository: Repository,
  needed: NeededWal,
  wanted: ReadonlySet<string>,
  options: StoreOptions = {},
): Promise<ReadonlySet<string>> {
  const held = new HeldSegments(needed.walSegmentBytes)
  const found = new Set<string>()
  let at = needed.startLsn
  for (let segment = segmentOf(at, needed.walSegmentBytes); at < needed.stopLsn; segment++) {
    if (segmentStart(segment, needed.walSegmentBytes) >= needed.stopLsn) throw broken(needed, at)
    held.add(segment, await readSegment(repository, needed, segment, options))
    at = scan(held, at, needed.stopLsn, (key) => {
      if (wanted.has(key)) found.add(key)
    })
    held.dropBefore(segmentOf(at, needed.walSegmentBytes))
  }
  return found
}

/** Reads records from `from` to the end of what is held; gives the place of the first that is not whole. */
function scan(pages: WalPages, from: Lsn, stopLsn: Lsn, onRewritten: (key: string) => void): Lsn {
  const records = readRecords(pages, from)
  for (;;) {
    const next = records.next()
    if (next.done === true) return next.value.endLsn
    for (const reference of rewrittenBlocks(recordBytes(pages, next.value))) onRewritten(blockKey(reference))
    if (next.value.endLsn >= stopLsn) return next.value.endLsn
  }
}

/** The segments around the present record: one, or more when a record goes on from one to the next. */
class HeldSegments implements WalPages {
  readonly segmentBytes: number
  readonly #segments = new Map<SegmentNumber, Uint8Array>()

  constructor(segmentBytes: number) {
    this.segmentBytes = segmentBytes
  }

  add(segment: SegmentNumber, bytes: Uint8Array): void {
    this.#segments.set(segment, bytes)
  }

  dropBefore(segment: SegmentNumber): void {
    for (const held of this.#segments.keys()) if (held < segment) this.#segments.delete(held)
  }

  page(lsn: Lsn): Uint8Array | undefined {
    const offset = Number(lsn % BigInt(this.segmentBytes))
    const bytes = this.#segments.get(segmentOf(lsn, this.segmentBytes))
    return bytes === undefined || offset + walPageBytes > bytes.length
      ? undefined
      : bytes.subarray(offset, offset + walPageBytes)
  }
}

/** A whole segment, or what there is of it in tail parts, filled up with zeros. */
async function readSegment(
  repository: Repository,
  needed: NeededWal,
  segment: SegmentNumber,
  options: StoreOptions,
): Promise<Uint8Array> {
  const { cluster, timeline, walSegmentBytes } = needed
  const name = segmentFileName(timeline, segment, walSegmentBytes)
  const inventory: WalInventory = await walInventory(repository, cluster, options)
  if (inventory.segments.some((stored) => stored.name === name)) {
    return readWalSegment(repository, { cluster, name }, options)
  }
  const startLsn = segmentStart(segment, walSegmentBytes)
  const endLsn = (startLsn + BigInt(walSegmentBytes)) as Lsn
  const bytes = new Uint8Array(walSegmentBytes)
  for (const piece of contiguousTail(inventory.tails, { timeline, startLsn, endLsn })) {
    const tail = await readTail(repository, { cluster, ...piece.tail }, options)
    bytes.set(tail.subarray(Number(piece.startLsn - piece.tail.startLsn)), Number(piece.startLsn - startLsn))
  }
  return bytes
}

function broken(needed: NeededWal, at: Lsn): Fault {
  return new Fault(
    backupFaults['backup-wal-missing'],
    `Cannot complete the backup: its WAL cannot be read on from ${formatLsn(at)}, before its end at ${formatLsn(needed.stopLsn)}`,
    { details: { reachedLsn: formatLsn(at), stopLsn: formatLsn(needed.stopLsn), timeline: needed.timeline } },
  )
}
