import { segmentStart } from '../repository/core/object-names.ts'
import { contiguousTail, walCoverage } from '../repository/core/wal-coverage.ts'
import type { Repository } from '../repository/repository.ts'
import { putTail, putWalSegment, walInventory } from '../repository/wal-objects.ts'
import type { Lsn, TimelineId } from '../wal/core/lsn.ts'
import { parsePageHeader } from '../wal/core/page-header.ts'
import { findEndOfWal, pagesOfSegment } from '../wal/core/record-reader.ts'
import type { Spool } from './spool.ts'

/**
 * Brings what an earlier run left in the spool into the repository, then empties the spool: after a failover it may be
 * the only place that still has this WAL. Of an unfinished segment counts what consists of whole and correct records, so
 * that nothing a crash left behind gets in. WAL of another system, or that joins nothing, is left out: it is received
 * again from the server.
 */
export async function drainSpool(
  repository: Repository,
  cluster: string,
  spool: Spool,
  systemIdentifier: bigint,
  options: { readonly signal?: AbortSignal | undefined } = {},
): Promise<void> {
  for (const leftover of await spool.leftovers()) {
    const bytes = await leftover.read()
    const first = parsePageHeader(bytes.subarray(0, 8192))?.segment
    if (first?.systemIdentifier === systemIdentifier) {
      const timeline = Number.parseInt(leftover.name.slice(0, 8), 16) as TimelineId
      const segment = { name: leftover.name, timeline, startLsn: segmentStart(leftover.name, first.segmentBytes) }
      if (leftover.whole && bytes.length === first.segmentBytes) {
        await putWalSegment(repository, { cluster, name: leftover.name, bytes }, options)
      } else if (!leftover.whole) {
        await drainPart(repository, cluster, { ...segment, segmentBytes: first.segmentBytes, bytes }, options)
      }
    }
    await leftover.remove()
  }
  await spool.clear()
}

interface PartialSegment {
  readonly timeline: TimelineId
  readonly startLsn: Lsn
  readonly segmentBytes: number
  readonly bytes: Uint8Array
}

async function drainPart(
  repository: Repository,
  cluster: string,
  { timeline, startLsn, segmentBytes, bytes }: PartialSegment,
  options: { readonly signal?: AbortSignal | undefined },
): Promise<void> {
  const padded = new Uint8Array(segmentBytes)
  padded.set(bytes.subarray(0, segmentBytes))
  const end = findEndOfWal(pagesOfSegment(padded, startLsn, segmentBytes), startLsn)
  if (end.lastRecordLsn === undefined) return
  const inventory = await walInventory(repository, cluster, options)
  const coverage = walCoverage(inventory, { timeline, walSegmentBytes: segmentBytes })
  // Without what comes before it, it would hide a gap behind newer WAL.
  const joins = coverage.ranges.some((range) => range.startLsn <= startLsn && range.endLsn >= startLsn)
  const received = (startLsn + BigInt(Math.min(bytes.length, segmentBytes))) as Lsn
  const endLsn = end.endLsn < received ? end.endLsn : received
  const segment = { timeline, startLsn, endLsn: (startLsn + BigInt(segmentBytes)) as Lsn }
  const whole = inventory.segments.some(
    (stored) => stored.timeline === timeline && segmentStart(stored.name, segmentBytes) === startLsn,
  )
  const from = contiguousTail(inventory.tails, segment).at(-1)?.endLsn ?? startLsn
  if (!joins || whole || from >= endLsn) return
  const part = bytes.subarray(Number(from - startLsn), Number(endLsn - startLsn))
  await putTail(repository, { cluster, timeline, startLsn: from, endLsn, bytes: part }, options)
}
