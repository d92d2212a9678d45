import type { Lsn, TimelineId } from '../../wal/core/lsn.ts'
import { timelinePath, type TimelineHistory } from '../../wal/core/timeline-history.ts'
import { liesOn } from './retention.ts'

/** WAL of one timeline; open where it has no end. */
export interface WalRange {
  readonly timeline: TimelineId
  readonly startLsn: Lsn
  readonly endLsn: Lsn | undefined
}

/** A backup that stays, and which WAL stays because of it. */
export interface WalNeed {
  readonly timeline: TimelineId
  readonly startLsn: Lsn
  readonly stopLsn: Lsn
  readonly wal: 'onwards' | 'own' | 'none'
}

/**
 * The WAL that must stay: of each backup what it needs itself, and where WAL onwards stays, every timeline that can be
 * reached from it, up to where the way leaves each. A timeline nothing is known of, or the newest when no backup leads
 * to it yet, stays whole: what it belongs to may be known later.
 */
export function neededWal(
  needs: readonly WalNeed[],
  known: { readonly timelines: readonly TimelineId[]; readonly histories: readonly TimelineHistory[] },
): readonly WalRange[] {
  const ranges: WalRange[] = []
  const kept = needs.filter(({ wal }) => wal !== 'none')
  for (const { timeline, startLsn, stopLsn } of kept) {
    ranges.push({ timeline, startLsn, endLsn: (stopLsn > startLsn ? stopLsn : startLsn + 1n) as Lsn })
  }
  const latest = Math.max(0, ...known.timelines)
  for (const timeline of known.timelines) {
    const history = known.histories.find((candidate) => candidate.timeline === timeline)
    const path = history === undefined ? undefined : timelinePath(history)
    const from = path === undefined ? [] : kept.filter((need) => need.wal === 'onwards' && liesOn(need, path))
    if (path === undefined || (from.length === 0 && timeline === latest)) {
      ranges.push({ timeline, startLsn: 0n as Lsn, endLsn: undefined })
    }
    for (const need of from) {
      const behind = path?.slice(path.findIndex((stretch) => stretch.timeline === need.timeline)) ?? []
      for (const stretch of behind) {
        const startLsn = stretch.startLsn > need.startLsn ? stretch.startLsn : need.startLsn
        ranges.push({ ...stretch, startLsn })
      }
    }
  }
  return ranges
}

/** True when a stored piece of WAL lies in a segment that one of the ranges touches. */
export function isNeeded(
  piece: { readonly timeline: TimelineId; readonly startLsn: Lsn },
  ranges: readonly WalRange[],
  walSegmentBytes: number,
): boolean {
  const size = BigInt(walSegmentBytes)
  const begin = piece.startLsn - (piece.startLsn % size)
  return ranges.some(
    ({ timeline, startLsn, endLsn }) =>
      timeline === piece.timeline && startLsn < begin + size && (endLsn === undefined || endLsn > begin),
  )
}

/** True when some of the lost WAL lies where WAL stays: on its own timeline, or on one that leads there. */
export function isGapNeeded(
  gap: { readonly timeline: TimelineId; readonly startLsn: Lsn; readonly endLsn: Lsn },
  ranges: readonly WalRange[],
): boolean {
  return ranges.some(
    ({ timeline, startLsn, endLsn }) =>
      timeline <= gap.timeline && startLsn < gap.endLsn && (endLsn === undefined || endLsn > gap.startLsn),
  )
}
