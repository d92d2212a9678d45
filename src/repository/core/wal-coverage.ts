import type { Lsn, TimelineId } from '../../wal/core/lsn.ts'
import { segmentStart, type TailName } from './object-names.ts'

/** The WAL that a repository holds of one cluster. */
export interface WalInventory {
  readonly segments: readonly { readonly timeline: TimelineId; readonly name: string }[]
  readonly tails: readonly TailName[]
  readonly histories: readonly TimelineId[]
}

export interface LsnRange {
  readonly startLsn: Lsn
  /** Exclusive. */
  readonly endLsn: Lsn
}

/**
 * The parts of a segment's tail that follow each other from the segment's start, each with the range that is to be
 * taken from it; parts may overlap, since a new archiver begins the segment again. Empty when nothing begins at the
 * start. The end of the last one is how far the WAL is durable.
 */
export function contiguousTail(
  tails: readonly TailName[],
  segment: { readonly timeline: TimelineId } & LsnRange,
): (LsnRange & { readonly tail: TailName })[] {
  const candidates = tails.filter(
    (tail) => tail.timeline === segment.timeline && tail.startLsn >= segment.startLsn && tail.endLsn <= segment.endLsn,
  )
  const chain: (LsnRange & { readonly tail: TailName })[] = []
  for (let reached = segment.startLsn; ;) {
    const next = candidates
      .filter((tail) => tail.startLsn <= reached && tail.endLsn > reached)
      .reduce<TailName | undefined>(
        (best, tail) => (best === undefined || tail.endLsn > best.endLsn ? tail : best),
        undefined,
      )
    if (next === undefined) return chain
    chain.push({ tail: next, startLsn: reached, endLsn: next.endLsn })
    reached = next.endLsn
  }
}

/**
 * The ranges of a timeline that can be replayed from the repository, ascending, joined where they touch, and the gaps
 * between them. Tail parts that do not connect to their segment's start count for nothing.
 */
export function walCoverage(
  inventory: WalInventory,
  options: { readonly timeline: TimelineId; readonly walSegmentBytes: number },
): { readonly ranges: LsnRange[]; readonly gaps: LsnRange[] } {
  const { timeline, walSegmentBytes } = options
  const size = BigInt(walSegmentBytes)
  const covered = new Map<Lsn, Lsn>()
  for (const tail of inventory.tails) {
    if (tail.timeline !== timeline) continue
    const startLsn = (tail.startLsn - (tail.startLsn % size)) as Lsn
    if (covered.has(startLsn)) continue
    const chain = contiguousTail(inventory.tails, { timeline, startLsn, endLsn: (startLsn + size) as Lsn })
    const end = chain.at(-1)?.endLsn
    if (end !== undefined) covered.set(startLsn, end)
  }
  for (const segment of inventory.segments) {
    if (segment.timeline !== timeline) continue
    const startLsn = segmentStart(segment.name, walSegmentBytes)
    covered.set(startLsn, (startLsn + size) as Lsn)
  }
  return joinRanges([...covered].map(([startLsn, endLsn]) => ({ startLsn, endLsn })))
}

function joinRanges(pieces: readonly LsnRange[]): { readonly ranges: LsnRange[]; readonly gaps: LsnRange[] } {
  const ranges: LsnRange[] = []
  const gaps: LsnRange[] = []
  for (const piece of pieces.toSorted((a, b) => (a.startLsn < b.startLsn ? -1 : 1))) {
    const last = ranges.at(-1)
    if (last === undefined) ranges.push(piece)
    else if (last.endLsn === piece.startLsn) ranges[ranges.length - 1] = { ...last, endLsn: piece.endLsn }
    else {
      gaps.push({ startLsn: last.endLsn, endLsn: piece.startLsn })
      ranges.push(piece)
    }
  }
  return { ranges, gaps }
}
