import type { Lsn, TimelineId } from '../../wal/core/lsn.ts'
import type { Catalogue, CatalogueTimeline, TailRange } from './catalogue.ts'
import type { PathEntry } from './timeline-path.ts'

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
  /** The stored parts that make up the segment, or undefined when the whole segment is stored. */
  readonly parts: readonly TailRange[] | undefined
}

export interface WalGap {
  readonly startLsn: Lsn
  /** The first stored byte after the gap. */
  readonly endLsn: Lsn
  readonly timeline: TimelineId
}

export interface WalWalk {
  readonly pieces: readonly WalPiece[]
  /** Every byte from the start up to here is stored. */
  readonly endLsn: Lsn
  /** What is missing right after `endLsn`, when there is stored WAL beyond it. */
  readonly gap: WalGap | undefined
}

/** Follows a path from `startLsn` as far as the stored WAL reaches without a hole. */
export function walkWal(catalogue: Catalogue, path: readonly PathEntry[], startLsn: Lsn): WalWalk {
  const segmentBytes = BigInt(catalogue.segmentBytes)
  const stored = new Map(catalogue.timelines.map((entry) => [entry.timeline, indexTimeline(entry, segmentBytes)]))
  const pieces: WalPiece[] = []
  let segmentStart = (startLsn - (startLsn % segmentBytes)) as Lsn
  for (;;) {
    const segmentEnd = (segmentStart + segmentBytes) as Lsn
    const piece = bestPiece(stored, path, segmentStart, segmentEnd)
    const reach = (segmentStart + BigInt(piece?.validBytes ?? 0)) as Lsn
    if (piece !== undefined) pieces.push(piece)
    if (reach < segmentEnd) return { pieces, endLsn: reach, gap: gapAfter(catalogue, path, reach, segmentBytes) }
    segmentStart = segmentEnd
  }
}

interface StoredTimeline {
  readonly segments: ReadonlySet<bigint>
  readonly tails: ReadonlyMap<bigint, readonly TailRange[]>
}

function indexTimeline(entry: CatalogueTimeline, segmentBytes: bigint): StoredTimeline {
  const tails = Map.groupBy(entry.tails, (part) => part.startLsn - (part.startLsn % segmentBytes))
  return { segments: new Set(entry.segments), tails }
}

function bestPiece(
  stored: ReadonlyMap<TimelineId, StoredTimeline>,
  path: readonly PathEntry[],
  segmentStart: Lsn,
  segmentEnd: Lsn,
): WalPiece | undefined {
  for (const { timeline, beginLsn, endLsn } of path.toReversed()) {
    if (beginLsn >= segmentEnd || (endLsn !== undefined && endLsn <= segmentStart)) continue
    const timelineWal = stored.get(timeline)
    if (timelineWal === undefined) continue
    const { parts, reach } = coverSegment(timelineWal, segmentStart, segmentEnd)
    const clipped = endLsn !== undefined && endLsn < reach ? endLsn : reach
    if (clipped <= segmentStart || clipped <= beginLsn) continue
    return { timeline, segmentStart, validBytes: Number(clipped - segmentStart), parts }
  }
  return undefined
}

/** The stored parts that together reach furthest without a hole from the segment's start. */
function coverSegment(
  stored: StoredTimeline,
  segmentStart: Lsn,
  segmentEnd: Lsn,
): { readonly parts: readonly TailRange[] | undefined; readonly reach: Lsn } {
  if (stored.segments.has(segmentStart)) return { parts: undefined, reach: segmentEnd }
  const candidates = (stored.tails.get(segmentStart) ?? []).toSorted((left, right) =>
    left.startLsn < right.startLsn ? -1 : left.startLsn > right.startLsn ? 1 : 0,
  )
  const parts: TailRange[] = []
  let reach = segmentStart
  let next: TailRange | undefined
  for (const candidate of candidates) {
    if (candidate.startLsn > reach) {
      if (next === undefined || candidate.startLsn > next.endLsn) break
      parts.push(next)
      reach = next.endLsn
      next = undefined
    }
    if (candidate.endLsn > (next?.endLsn ?? reach)) next = candidate
  }
  if (next !== undefined) {
    parts.push(next)
    reach = next.endLsn
  }
  return { parts, reach: reach < segmentEnd ? reach : segmentEnd }
}

function gapAfter(
  catalogue: Catalogue,
  path: readonly PathEntry[],
  reach: Lsn,
  segmentBytes: bigint,
): WalGap | undefined {
  let nearest: WalGap | undefined
  for (const entry of path) {
    const wal = catalogue.timelines.find((candidate) => candidate.timeline === entry.timeline)
    if (wal === undefined) continue
    const ranges = [
      ...wal.segments.map((startLsn) => ({ startLsn, endLsn: (startLsn + segmentBytes) as Lsn })),
      ...wal.tails,
    ]
    for (const range of ranges) {
      const from = [range.startLsn, entry.beginLsn, reach].reduce((left, right) => (left > right ? left : right))
      if (from >= range.endLsn || (entry.endLsn !== undefined && from >= entry.endLsn)) continue
      if (nearest === undefined || from < nearest.endLsn) {
        nearest = { startLsn: reach, endLsn: from, timeline: entry.timeline }
      }
    }
  }
  return nearest
}
