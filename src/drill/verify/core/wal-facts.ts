import type { Lsn } from '../../../wal/core/lsn.ts'

/** The end of a transaction, as recovery meets it. */
export interface TransactionEnd {
  readonly lsn: Lsn
  readonly transaction: number
  readonly kind: 'commit' | 'abort'
  readonly prepared: boolean
  /** Microseconds since 1970. */
  readonly epochMicros: bigint
}

/** A place between two commits: recovery to just before the second has the first and not the second. */
export interface CommitPair {
  readonly first: TransactionEnd
  readonly second: TransactionEnd
  /** A moment that no transaction before the second had reached; undefined where their clock gives none. */
  readonly moment: bigint | undefined
}

/**
 * Finds two commits that follow each other, near a position that the caller chose by chance, while the ends of
 * transactions pass by in the order of the WAL. Only what lies behind the end of the backup counts: no earlier moment can
 * be restored. The pair around the position wins, else the last before it.
 */
export function createPairFinder(options: { readonly from: Lsn; readonly near: Lsn }): {
  readonly see: (end: TransactionEnd) => void
  readonly found: () => CommitPair | undefined
} {
  let first: TransactionEnd | undefined
  let latestMicros: bigint | undefined
  let best: CommitPair | undefined
  return {
    see: (end) => {
      const decided = best !== undefined && best.second.lsn >= options.near
      if (!decided && isCandidate(end) && first !== undefined) {
        best = { first, second: end, moment: momentBetween(latestMicros, end.epochMicros) }
      }
      if (isCandidate(end) && end.lsn >= options.from) first = end
      // Recovery to a moment stops at the first end of a transaction that is later, whichever it is.
      if (latestMicros === undefined || end.epochMicros > latestMicros) latestMicros = end.epochMicros
    },
    found: () => best,
  }
}

/** Of a prepared transaction the number stands elsewhere in the record. */
function isCandidate(end: TransactionEnd): boolean {
  return end.kind === 'commit' && !end.prepared && end.transaction !== 0
}

function momentBetween(latest: bigint | undefined, next: bigint): bigint | undefined {
  if (latest === undefined || next - latest < 2n) return undefined
  return latest + (next - latest) / 2n
}
