import type { Lsn } from '../../../wal/core/lsn.ts'

/** What the server keeps for an archiver. */
export interface SlotReport {
  readonly name: string
  /** Somebody receives from it now. */
  readonly active: boolean
  /** PostgreSQL's own word: reserved, extended, unreserved, lost. */
  readonly status: string | null
  readonly restartLsn: Lsn | null
  /** WAL on the server's disk because of it. */
  readonly retainedBytes: number | null
  /** How much more may be written before the server gives it up; null when there is no limit. */
  readonly safeBytes: number | null
}

export interface ServerWal {
  readonly flushLsn: Lsn
  readonly timeline: number
  /** Undefined when there is no such slot. */
  readonly slot: SlotReport | undefined
}
