import type { Lsn } from '../../wal/core/lsn.ts'

/** WAL that is durable in the repository: from `start` up to, but without, `end`. */
export interface WalRange {
  readonly start: Lsn
  readonly end: Lsn
}

/** How far the ranges reach without a hole from `from`; `from` itself when none of them holds it. */
export function coveredUpTo(ranges: readonly WalRange[], from: Lsn): Lsn {
  let reached = from
  for (const range of ranges.toSorted((a, b) => (a.start < b.start ? -1 : a.start > b.start ? 1 : 0))) {
    if (range.start > reached) break
    if (range.end > reached) reached = range.end
  }
  return reached
}
