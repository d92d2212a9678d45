import { isInGap } from '../../repository/core/gap-record.ts'
import type { GapRecord } from '../../repository/core/gap-record.ts'
import type { TailName } from '../../repository/core/object-names.ts'
import { contiguousTail } from '../../repository/core/wal-coverage.ts'
import type { Lsn, TimelineId } from '../../wal/core/lsn.ts'
import type { TimelineStretch } from '../../wal/core/timeline-history.ts'
import type { Catalogue, CatalogueTimeline } from './catalogue.ts'

/**
 * One WAL file that recovery will be given. PostgreSQL asks for a segment on the newest timeline first and would also
 * take an older one's file, past the fork included; so a file of a timeline that is left counts, and is served, only up
 * to the fork.
 */
export interface WalPiece {
  readonly timeline: TimelineId
  readonly segmentStart: Lsn
  /** Bytes from the segment's start that are real; the rest is served as zeros. */
  readonly validBytes: number
}

export interface WalGap {
  readonly startLsn: Lsn
  /** The first stored byte after the gap. */
  readonly endLsn: Lsn
  readonly timeline: TimelineId
  /** What was recorded when it was found out. */
  readonly record?: GapRecord | undefined
}

export interface WalWalk {
  readonly pieces: readonly WalPiece[]
  /** Every byte from the start up to here is stored. */
  readonly endLsn: Lsn
  /** What is missing right after `endLsn`, when there is stored WAL beyond it, or when it is known to be lost. */
  readonly gap: WalGap | undefined
}

/** Follows a path from `startLsn` as far as the stored WAL reaches without a hole. */
export function walkWal(catalogue: Catalogue, path: readonly TimelineStretch[], startLsn: Lsn): WalWalk {
  const segmentBytes = BigInt(catalogue.segmentBytes)
  const stored = new Map(catalogue.timelines.map((entry) => [entry.timeline, indexTimeline(entry, segmentBytes)]))
  const pieces: WalPiece[] = []
  let segmentStart = (startLsn - (startLsn % segmentBytes)) as Lsn
  for (;;) {
    const segmentEnd = (segmentStart + segmentBytes) as Lsn
    const piece = bestPiece(stored, path, segmentStart, segmentEnd)
    const reach = (segmentStart + BigInt(piece?.validBytes ?? 0)) as Lsn
    if (piece !== undefined) pieces.push(piece)
    if (reach < segmentEnd) return { pieces, endLsn: reach, gap: gapAfter(catalogue, path, reach) }
    segmentStart = segmentEnd
  }
}

interface StoredTimeline {
  readonly timeline: TimelineId
  readonly segments: ReadonlySet<bigint>
  readonly tails: ReadonlyMap<bigint, readonly TailName[]>
}

function indexTimeline(entry: CatalogueTimeline, segmentBytes: bigint): StoredTimeline {
  const tails = Map.groupBy(entry.tails, (part) => part.startLsn - (part.startLsn % segmentBytes))
  return { timeline: entry.timeline, segments: new Set(entry.segments), tails }
}

function bestPiece(
  stored: ReadonlyMap<TimelineId, StoredTimeline>,
  path: readonly TimelineStretch[],
  segmentStart: Lsn,
  segmentEnd: Lsn,
): WalPiece | undefined {
  for (const { timeline, startLsn, endLsn } of path.toReversed()) {
    if (startLsn >= segmentEnd || (endLsn !== undefined && endLsn <= segmentStart)) continue
    const reach = storedUpTo(stored.get(timeline), segmentStart, segmentEnd)
    const clipped = endLsn !== undefined && endLsn < reach ? endLsn : reach
    // A child's file that does not reach past the fork tells nothing that the parent's does not.
    if (clipped > segmentStart && clipped > startLsn) {
      return { timeline, segmentStart, validBytes: Number(clipped - segmentStart) }
    }
  }
  return undefined
}

/** How far a timeline's stored WAL reaches without a hole from a segment's start. */
function storedUpTo(stored: StoredTimeline | undefined, startLsn: Lsn, endLsn: Lsn): Lsn {
  if (stored === undefined) return startLsn
  if (stored.segments.has(startLsn)) return endLsn
  const segment = { timeline: stored.timeline, startLsn, endLsn }
  return contiguousTail(stored.tails.get(startLsn) ?? [], segment).at(-1)?.endLsn ?? startLsn
}

function gapAfter(catalogue: Catalogue, path: readonly TimelineStretch[], reach: Lsn): WalGap | undefined {
  const segmentBytes = BigInt(catalogue.segmentBytes)
  let nearest: WalGap | undefined
  for (const stretch of path) {
    const wal = catalogue.timelines.find((candidate) => candidate.timeline === stretch.timeline)
    if (wal === undefined) continue
    const segments = wal.segments.map((startLsn) => ({ startLsn, endLsn: (startLsn + segmentBytes) as Lsn }))
    for (const range of [...segments, ...wal.tails]) {
      const from = [range.startLsn, stretch.startLsn, reach].reduce((left, right) => (left > right ? left : right))
      if (from >= range.endLsn || (stretch.endLsn !== undefined && from >= stretch.endLsn)) continue
      if (nearest === undefined || from < nearest.endLsn) {
        nearest = { startLsn: reach, endLsn: from, timeline: stretch.timeline }
      }
    }
  }
  const record = recordedGap(catalogue, path, reach)
  if (nearest !== undefined) return record === undefined ? nearest : { ...nearest, record }
  return record === undefined
    ? undefined
    : { startLsn: reach, endLsn: record.endLsn, timeline: record.timeline, record }
}

/** Of records that lie one in the other, the one that reaches farthest. */
function recordedGap(catalogue: Catalogue, path: readonly TimelineStretch[], reach: Lsn): GapRecord | undefined {
  const at = path.findLast((stretch) => stretch.startLsn <= reach)
  if (at === undefined) return undefined
  const there = (catalogue.gaps ?? []).filter(
    (gap) => isInGap(gap, at.timeline, reach) && path.some((stretch) => stretch.timeline === gap.timeline),
  )
  return there.reduce<GapRecord | undefined>(
    (best, gap) => (best === undefined || gap.endLsn > best.endLsn ? gap : best),
    undefined,
  )
}
