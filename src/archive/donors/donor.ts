import type { Lsn, TimelineId } from '../../wal/core/lsn.ts'

/** WAL that the server the archive follows no longer has. */
export interface WantedWal {
  readonly systemIdentifier: bigint
  readonly timeline: TimelineId
  /** Where the timeline begins on the way to the server's: another with the same number is not the same. */
  readonly timelineStartLsn: Lsn
  readonly segmentBytes: number
  /** A segment's start, since what is stored of it is compared with what comes. */
  readonly startLsn: Lsn
  /** The repository has everything before it. */
  readonly durableLsn: Lsn
  /** From here on the server has it itself, or another timeline goes on. */
  readonly endLsn: Lsn
}

/** Somebody else who may have WAL that a server has lost: another member, or a directory of kept files. */
export interface WalDonor {
  readonly name: string
  /** The WAL from the start of what is wanted on, as far as the donor has it and not beyond. */
  offer(wanted: WantedWal, signal: AbortSignal): AsyncIterable<Uint8Array>
}

/** Why a donor gives nothing, although it could be asked. */
export class NothingToOffer extends Error {}
