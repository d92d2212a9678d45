import type { Repository } from '../repository/repository.ts'
import type { Clock } from '../std/clock.ts'
import { Fault } from '../std/fault.ts'
import { formatLsn } from '../wal/core/lsn.ts'
import type { Lsn } from '../wal/core/lsn.ts'
import { findLastRecord } from './core/last-record.ts'
import type { WalPiece } from './core/wal-walk.ts'
import { restoreFaults } from './faults.ts'
import { fetchPiece } from './feed/fetch-piece.ts'
import type { PlannedRestore } from './plan-from-repository.ts'

/**
 * Where the last whole record of the planned WAL begins: reads the last segment, and the ones before it when a record is
 * longer than that. Throws `restore-wal-unreadable` when the end of the WAL makes no sense.
 */
export async function latestRecord(
  repository: Repository,
  planned: PlannedRestore,
  options: { readonly clock: Clock; readonly signal?: AbortSignal | undefined },
): Promise<Lsn> {
  const { wal, walEndLsn, segmentBytes } = planned.plan
  let stretch = new Uint8Array(0)
  for (const piece of wal.toReversed()) {
    stretch = await prepend(repository, planned, piece, stretch, options)
    const last = findLastRecord(stretch, piece.segmentStart, walEndLsn, segmentBytes)
    if (last.kind === 'found') return last.lsn
    if (last.kind === 'damaged') {
      throw unreadable(walEndLsn, `what stands at ${formatLsn(last.lsn)} is no record (${last.reason})`)
    }
  }
  throw unreadable(walEndLsn, 'no record begins and ends in it')
}

async function prepend(
  repository: Repository,
  planned: PlannedRestore,
  piece: WalPiece,
  behind: Uint8Array,
  options: { readonly clock: Clock; readonly signal?: AbortSignal | undefined },
): Promise<Uint8Array<ArrayBuffer>> {
  const bytes = await fetchPiece(repository, planned, piece, options)
  const joined = new Uint8Array(bytes.length + behind.length)
  joined.set(bytes)
  joined.set(behind, bytes.length)
  return joined
}

function unreadable(endLsn: Lsn, reason: string): Fault {
  const end = formatLsn(endLsn)
  return new Fault(
    restoreFaults['restore-wal-unreadable'],
    `Cannot restore to the end of the archived WAL: it ends at ${end}, and ${reason}`,
    { details: { endLsn: end } },
  )
}
