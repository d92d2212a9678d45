/**
 * What clients were told, kept outside the database: every row whose commit was acknowledged. After a disaster each of
 * them must be in the database; a row whose outcome nobody knows (the connection broke during the commit) may be.
 */
export interface Ledger {
  readonly acknowledged: number
  readonly unknown: number
  /** Tries to write that the database refused or did not hear. */
  readonly rejected: number
  /** When the newest acknowledgement came, on the monotonic clock; undefined before the first. */
  readonly lastAcknowledgedAt: number | undefined
  /** When the first row was acknowledged on a connection opened after `since`; undefined while there is none. */
  firstAcknowledgedAfter(since: number): number | undefined
  send(row: RowId): void
  acknowledge(row: RowId, moment: Acknowledgement): void
  leaveUnknown(row: RowId): void
  reject(): void
  /** The rows acknowledged up to now: whoever reads the database later must find them. */
  acknowledgedRows(): ReadonlySet<RowId>
  /** Of rows read from the database those that nobody ever sent, or that are there twice. */
  strangers(present: Iterable<RowId>): RowId[]
}

/** Both on the monotonic clock. */
export interface Acknowledgement {
  readonly connectedAt: number
  readonly at: number
}

/** `writer:sequence`. */
export type RowId = `${number}:${number}`

export function createLedger(): Ledger {
  const sent = new Set<RowId>()
  const acknowledged = new Set<RowId>()
  const moments: Acknowledgement[] = []
  let unknown = 0
  let rejected = 0
  return {
    get acknowledged() {
      return acknowledged.size
    },
    get unknown() {
      return unknown
    },
    get rejected() {
      return rejected
    },
    get lastAcknowledgedAt() {
      return moments.at(-1)?.at
    },
    firstAcknowledgedAfter: (since) => moments.find((moment) => moment.connectedAt > since)?.at,
    send: (row) => void sent.add(row),
    acknowledge: (row, moment) => {
      acknowledged.add(row)
      moments.push(moment)
    },
    leaveUnknown: () => void (unknown += 1),
    reject: () => void (rejected += 1),
    acknowledgedRows: () => new Set(acknowledged),
    strangers: (present) => {
      const seen = new Set<RowId>()
      const strange: RowId[] = []
      for (const row of present) {
        if (seen.has(row) || !sent.has(row)) strange.push(row)
        seen.add(row)
      }
      return strange
    },
  }
}

/** Acknowledged rows that are not among those present. */
export function lostRows(acknowledged: ReadonlySet<RowId>, present: Iterable<RowId>): RowId[] {
  const found = new Set(present)
  return [...acknowledged].filter((row) => !found.has(row))
}
