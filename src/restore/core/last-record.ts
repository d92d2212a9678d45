import type { Lsn } from '../../wal/core/lsn.ts'
import { longHeaderBytes, shortHeaderBytes, walPageBytes } from '../../wal/core/page-header.ts'
import { findEndOfWal, pagesOfSegment } from '../../wal/core/record-reader.ts'

export type LastRecord =
  /** The last whole record begins here; every byte behind its end belongs to one that is not complete. */
  | { readonly kind: 'found'; readonly lsn: Lsn }
  /** No record begins and ends in this stretch: a longer one has to be looked at. */
  | { readonly kind: 'none' }
  /** What stands at this position is no record, although all of it should be there. */
  | { readonly kind: 'damaged'; readonly lsn: Lsn; readonly reason: string }

/**
 * Finds the last whole record in the last planned WAL. Recovery to `latest` is told to reach exactly this record, so that
 * PostgreSQL itself refuses to open the database when it could not.
 *
 * `wal` begins at a segment's start and is padded with zeros to whole segments; real are the bytes before `endLsn`.
 */
export function findLastRecord(wal: Uint8Array, startLsn: Lsn, endLsn: Lsn, segmentBytes: number): LastRecord {
  const end = findEndOfWal(pagesOfSegment(wal, startLsn, segmentBytes), startLsn)
  if (end.lastRecordLsn === undefined) return { kind: 'none' }
  if (end.endLsn >= endLsn || isCutOff(wal, startLsn, end.endLsn, endLsn, segmentBytes)) {
    return { kind: 'found', lsn: end.lastRecordLsn }
  }
  return { kind: 'damaged', lsn: end.endLsn, reason: end.reason }
}

/** Whether the record at `lsn` would end behind `endLsn`. The pages' headers it crosses only add to its length. */
function isCutOff(wal: Uint8Array, startLsn: Lsn, lsn: Lsn, endLsn: Lsn, segmentBytes: number): boolean {
  const atSegment = lsn % BigInt(segmentBytes) === 0n
  const header = lsn % BigInt(walPageBytes) !== 0n ? 0 : atSegment ? longHeaderBytes : shortHeaderBytes
  const offset = Number(lsn - startLsn) + header
  const realBytes = Number(endLsn - startLsn)
  if (offset + 4 > realBytes) return true
  return offset + new DataView(wal.buffer, wal.byteOffset, wal.byteLength).getUint32(offset, true) > realBytes
}
