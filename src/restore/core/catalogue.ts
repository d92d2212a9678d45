import type { GapRecord } from '../../repository/core/gap-record.ts'
import type { TailName } from '../../repository/core/object-names.ts'
import type { Lsn, TimelineId } from '../../wal/core/lsn.ts'
import type { TimelineHistory } from '../../wal/core/timeline-history.ts'

/** What a repository holds of one cluster, as plain data: everything that planning a restore depends on. */
export interface Catalogue {
  readonly segmentBytes: number
  readonly backups: readonly CatalogueBackup[]
  readonly timelines: readonly CatalogueTimeline[]
  /** WAL that is known to be lost. */
  readonly gaps?: readonly GapRecord[] | undefined
}

export interface CatalogueBackup {
  readonly id: string
  readonly timeline: TimelineId
  /** The redo position: recovery needs every byte of WAL from here. */
  readonly startLsn: Lsn
  /** The end of the backup: no earlier target can be reached from it. */
  readonly stopLsn: Lsn
  /** Milliseconds since 1970-01-01 UTC, by the server's clock. */
  readonly stopTimeMs: number
  readonly sizeBytes: number
}

export interface CatalogueTimeline {
  readonly timeline: TimelineId
  /** Undefined when its history file is missing. Timeline 1 needs none. */
  readonly history: TimelineHistory | undefined
  /** Start positions of the whole segments that are stored. */
  readonly segments: readonly Lsn[]
  /** Stored parts of unfinished segments, possibly overlapping. A part never crosses a segment's end. */
  readonly tails: readonly TailName[]
}
