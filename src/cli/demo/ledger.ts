/**
 * What clients were told, kept outside the database: every row whose commit was acknowledged. After a disaster each of
 * them must be in the database; a row whose outcome nobody knows (the connection broke during the commit) may be.
 */
export interface Ledger {
  readonly acknowledged: number
  readonly unknown: number
  readonly rejected: number
  /** When the newest acknowledgement came, on the monotonic clock; undefined before the first. */
  readonly lastAcknowledgedAt: number | undefined
  /** Time of the first acknowledgement after `since`, or undefined while there is none. */
  firstAcknowledgedAfter(since: number): number | undefined
  acknowledge(row: RowId, at: number): void
  leaveUnknown(row: RowId): void
  reject(): void
  /** Acknowledged rows that are not among `present`. */
  missingFrom(present: Iterable<RowId>): RowId[]
  /** Rows that are present although no client ever sent them, or twice. */
  strangers(present: Iterable<RowId>): RowId[]
}

/** `writer:sequence`. */
export type RowId = `${number}:${number}`

export function createLedger(): Ledger {
  const acknowledged = new Set<RowId>()
  const unknown = new Set<RowId>()
  const times: number[] = []
  let rejected = 0
  return {
    get acknowledged() {
      return acknowledged.size
    },
    get unknown() {
      return unknown.size
    },
    get rejected() {
      return rejected
    },
    get lastAcknowledgedAt() {
      return times.at(-1)
    },
    firstAcknowledgedAfter: (since) => firstAfter(times, since),
    acknowledge: (row, at) => {
      acknowledged.add(row)
      times.push(at)
    },
    leaveUnknown: (row) => void unknown.add(row),
    reject: () => void (rejected += 1),
    missingFrom: (present) => {
      const found = new Set(present)
      return [...acknowledged].filter((row) => !found.has(row))
    },
    strangers: (present) => {
      const seen = new Set<RowId>()
      const strange: RowId[] = []
      for (const row of present) {
        if (seen.has(row) || !(acknowledged.has(row) || unknown.has(row))) strange.push(row)
        seen.add(row)
      }
      return strange
    },
  }
}

/** The first of ascending `times` that is later than `since`. */
function firstAfter(times: readonly number[], since: number): number | undefined {
  let low = 0
  let high = times.length
  while (low < high) {
    const middle = (low + high) >> 1
    if ((times[middle] ?? 0) > since) high = middle
    else low = middle + 1
  }
  return times[low]
}
