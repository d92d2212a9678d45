import { segmentNameAt, segmentObject } from '../../repository/core/object-names.ts'
import { objectFault } from '../../repository/damage.ts'
import type { Repository } from '../../repository/repository.ts'
import type { WalOptions } from '../../repository/wal-objects.ts'
import { readSegmentBestEffort } from '../../repository/wal-segment-best-effort.ts'
import type { Clock } from '../../std/clock.ts'
import { retry } from '../../std/retry.ts'
import type { WalPiece } from '../core/wal-walk.ts'
import type { PlannedRestore } from '../plan-from-repository.ts'
import { isWorthRetrying } from '../../repository/worth-retrying.ts'

/**
 * One planned WAL file: the planned bytes, then zeros up to a segment's size. A store that does not answer is asked
 * again for a while. Throws when the repository has less than planned, or something damaged.
 */
export async function fetchPiece(
  repository: Repository,
  { cluster, plan }: Pick<PlannedRestore, 'cluster' | 'plan'>,
  piece: WalPiece,
  options: WalOptions & { readonly clock: Clock },
): Promise<Uint8Array> {
  const { timeline, segmentStart: startLsn, validBytes } = piece
  const segment = { cluster, timeline, startLsn, walSegmentBytes: plan.segmentBytes }
  const content = await retry(() => readSegmentBestEffort(repository, segment, options), {
    clock: options.clock,
    signal: options.signal,
    attempts: 8,
    firstWaitMs: 100,
    longestWaitMs: 5000,
    random: Math.random,
    worthwhile: isWorthRetrying,
  })
  const object = segmentObject(cluster, segmentNameAt(timeline, startLsn, plan.segmentBytes))
  if (content === undefined) throw objectFault(object, 'missing', 'it was there when the restore was planned')
  if (content.bytes.length < validBytes) {
    throw objectFault(object, 'missing', `of it only ${content.bytes.length} of ${validBytes} planned bytes are stored`)
  }
  if (content.bytes.length === validBytes && validBytes === plan.segmentBytes) return content.bytes
  const bytes = new Uint8Array(plan.segmentBytes)
  bytes.set(content.bytes.subarray(0, validBytes))
  return bytes
}
