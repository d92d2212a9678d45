import { walCoverage } from '../../repository/core/wal-coverage.ts'
import type { WalInventory } from '../../repository/core/wal-coverage.ts'
import type { Lsn, TimelineId } from '../../wal/core/lsn.ts'
import type { TimelineStretch } from '../../wal/core/timeline-history.ts'

/** Where the archive goes on. */
export interface ResumePoint {
  readonly timeline: TimelineId
  /** The repository durably holds the WAL before this. */
  readonly durableLsn: Lsn
  /** The start of the segment that has it: WAL is always received from there. */
  readonly segmentStart: Lsn
}

/**
 * The end of what the repository holds along a server's history: on its newest timeline that is in the repository, and on
 * the next one when that is complete up to the fork. What an old primary wrote past the fork counts for nothing here.
 * Undefined when the repository has nothing of this history.
 */
export function resumePoint(
  inventory: WalInventory,
  path: readonly TimelineStretch[],
  walSegmentBytes: number,
): ResumePoint | undefined {
  for (let index = path.length - 1; index >= 0; index -= 1) {
    const stretch = path[index] as TimelineStretch
    const { ranges } = walCoverage(inventory, { timeline: stretch.timeline, walSegmentBytes })
    const last = ranges.filter(({ startLsn }) => stretch.endLsn === undefined || startLsn < stretch.endLsn).at(-1)
    if (last === undefined) continue
    if (stretch.endLsn === undefined || last.endLsn < stretch.endLsn) {
      return pointAt(stretch.timeline, last.endLsn, walSegmentBytes)
    }
    const next = path[index + 1] as TimelineStretch
    const begin = pointAt(next.timeline, next.startLsn, walSegmentBytes)
    return { ...begin, durableLsn: begin.segmentStart }
  }
  return undefined
}

/** A point from which nothing of the segment is durable yet on this timeline counts from its start. */
export function pointAt(timeline: TimelineId, lsn: Lsn, walSegmentBytes: number): ResumePoint {
  return { timeline, durableLsn: lsn, segmentStart: (lsn - (lsn % BigInt(walSegmentBytes))) as Lsn }
}
