import { recordBytes } from '../../backup/core/block-references.ts'
import type { Repository } from '../../repository/repository.ts'
import type { WalPiece } from '../../restore/core/wal-walk.ts'
import { fetchPiece } from '../../restore/feed/fetch-piece.ts'
import { restoreFaults } from '../../restore/faults.ts'
import { latestRecord } from '../../restore/latest-record.ts'
import type { PlannedRestore } from '../../restore/plan-from-repository.ts'
import type { Clock } from '../../std/clock.ts'
import { isFault } from '../../std/fault.ts'
import { formatLsn, type Lsn } from '../../wal/core/lsn.ts'
import { walPageBytes } from '../../wal/core/page-header.ts'
import { readRecords, type WalEnd, type WalPages, type WalRecord } from '../../wal/core/record-reader.ts'

export interface WalReading {
  /** Where the last whole record ends. */
  readonly endLsn: Lsn
  readonly records: number
  /** Bytes of WAL that were fetched, authenticated and read. */
  readonly bytes: number
  /** Why it could not be read to its end. */
  readonly broken: string | undefined
}

/**
 * Reads all WAL of a plan in the order in which recovery would, and checks each record as recovery does: its place, its
 * link to the one before, its checksum. Throws what fetching a piece throws.
 */
export async function readWal(
  repository: Repository,
  planned: PlannedRestore,
  options: {
    readonly clock: Clock
    readonly signal?: AbortSignal | undefined
    /** False: only fetched and authenticated. */
    readonly records: boolean
    readonly onRecord?: ((record: WalRecord, bytes: () => Uint8Array) => void) | undefined
    readonly onPiece?: ((bytes: number) => void) | undefined
  },
): Promise<WalReading> {
  const { plan } = planned
  const held = new HeldPieces(plan.segmentBytes)
  let at = plan.backup.startLsn
  let last: Lsn | undefined
  let [records, bytes] = [0, 0]
  for (const [index, piece] of plan.wal.entries()) {
    const fetched = await fetchPiece(repository, planned, piece, options)
    bytes += piece.validBytes
    options.onPiece?.(bytes)
    if (!options.records) continue
    held.add(piece, fetched)
    const reader = readRecords(held, at)
    let end: WalEnd | undefined
    for (;;) {
      const next = reader.next()
      if (next.done === true) {
        end = next.value
        break
      }
      const record = next.value
      // The reader begins anew with each piece, so this link it cannot check itself.
      if (last !== undefined && record.previousLsn !== last) {
        return { endLsn: at, records, bytes, broken: brokenAt(at, 'its record does not follow the one before') }
      }
      options.onRecord?.(record, () => recordBytes(held, record))
      last = record.lsn
      at = record.endLsn
      records += 1
    }
    if (end.endLsn > at) at = end.endLsn
    const reach = piece.segmentStart + BigInt(piece.validBytes)
    const isLast = index === plan.wal.length - 1
    if (at < reach && !end.incomplete && !isLast)
      return { endLsn: at, records, bytes, broken: brokenAt(at, end.reason) }
    held.dropBefore(at)
  }
  if (!options.records) return { endLsn: plan.walEndLsn, records, bytes, broken: undefined }
  return { endLsn: at, records, bytes, broken: await brokenEnd(repository, planned, options) }
}

/** The last piece may end within a record, which is as it should be; anything else there is not. */
async function brokenEnd(
  repository: Repository,
  planned: PlannedRestore,
  options: { readonly clock: Clock; readonly signal?: AbortSignal | undefined },
): Promise<string | undefined> {
  try {
    await latestRecord(repository, planned, options)
    return undefined
  } catch (error) {
    if (isFault(error, restoreFaults['restore-wal-unreadable'])) return error.message
    throw error
  }
}

function brokenAt(lsn: Lsn, reason: string): string {
  return `WAL cannot be read on from ${formatLsn(lsn)}: ${reasons[reason] ?? reason}`
}

const reasons: Readonly<Record<string, string>> = {
  'no-page': 'there is no page',
  'foreign-page': 'the page there belongs elsewhere',
  'no-record': 'there is no record, although more WAL follows',
  'bad-record': 'what stands there is no record',
  'bad-checksum': 'the record there has a wrong checksum',
}

/** The pieces around the present record. */
class HeldPieces implements WalPages {
  readonly segmentBytes: number
  readonly #pieces = new Map<bigint, Uint8Array>()

  constructor(segmentBytes: number) {
    this.segmentBytes = segmentBytes
  }

  add(piece: WalPiece, bytes: Uint8Array): void {
    this.#pieces.set(piece.segmentStart, bytes)
  }

  dropBefore(lsn: Lsn): void {
    const begin = lsn - (lsn % BigInt(this.segmentBytes))
    for (const start of this.#pieces.keys()) if (start < begin) this.#pieces.delete(start)
  }

  page(lsn: Lsn): Uint8Array | undefined {
    const offset = Number(lsn % BigInt(this.segmentBytes))
    const bytes = this.#pieces.get(lsn - BigInt(offset))
    return bytes?.subarray(offset, offset + walPageBytes)
  }
}
