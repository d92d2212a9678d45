import { Fault, isFault } from '../std/fault.ts'
import type { Lsn } from '../wal/core/lsn.ts'
import type { TimelineStretch } from '../wal/core/timeline-history.ts'
import { archiveFaults } from './faults.ts'
import { NothingToOffer } from './donors/donor.ts'
import type { WalDonor, WantedWal } from './donors/donor.ts'
import type { Location } from './locate.ts'
import type { WalSink } from './wal-sink.ts'

/** What came of asking the donors. */
export type CatchUp =
  /** The repository has more than before; perhaps not all yet. */
  { readonly kind: 'advanced' } | { readonly kind: 'nothing'; readonly refusals: readonly Refusal[] }

export interface Refusal {
  readonly donor: string
  readonly reason: string
  /** It could not be asked, so it may have the WAL all the same. */
  readonly unknown: boolean
}

/**
 * Brings WAL that the server no longer has into the repository from whoever has it, each donor after the other until one
 * gives something. `oldest` is where the server itself can go on. A donor whose WAL differs from what is stored is passed
 * over. Throws what the repository throws.
 */
export async function catchUp(
  location: Location,
  oldest: { readonly timeline: number; readonly segmentStart: Lsn },
  options: {
    readonly donors: readonly WalDonor[]
    readonly openSink: (onFailure: (error: unknown) => void) => WalSink
    readonly signal: AbortSignal
  },
): Promise<CatchUp> {
  const wanted = wantedWal(location, oldest)
  const refusals: Refusal[] = []
  if (wanted.endLsn <= wanted.durableLsn) return { kind: 'nothing', refusals }
  for (const donor of options.donors) {
    const stop = new AbortController()
    const signal = AbortSignal.any([options.signal, stop.signal])
    await using sink = options.openSink((error) => stop.abort(error))
    try {
      for await (const piece of donor.offer(wanted, signal)) await sink.append(piece)
      await sink.settle(signal)
    } catch (error) {
      options.signal.throwIfAborted()
      stop.signal.throwIfAborted()
      refusals.push({ donor: donor.name, reason: messageOf(error), unknown: isUnknown(error) })
      // What did come before it failed is as good as any, unless it is not what the repository has.
      if (!isFault(error, archiveFaults['archive-diverged'])) await sink.settle(signal)
    }
    if (sink.durableLsn > wanted.durableLsn) return { kind: 'advanced' }
    if (refusals.at(-1)?.donor !== donor.name) {
      refusals.push({ donor: donor.name, reason: 'it gave nothing', unknown: false })
    }
  }
  return { kind: 'nothing', refusals }
}

function wantedWal(
  { point, path, segmentBytes, systemIdentifier }: Location,
  oldest: { readonly timeline: number; readonly segmentStart: Lsn },
): WantedWal {
  const stretch = path.find(({ timeline }) => timeline === point.timeline) as TimelineStretch
  const left = stretch.endLsn
  const own = oldest.timeline === point.timeline ? oldest.segmentStart : undefined
  const ends = [left, own].filter((lsn): lsn is Lsn => lsn !== undefined)
  return {
    systemIdentifier,
    timeline: point.timeline,
    timelineStartLsn: stretch.startLsn,
    segmentBytes,
    startLsn: point.segmentStart,
    durableLsn: point.durableLsn,
    endLsn: ends.reduce((earliest, lsn) => (lsn < earliest ? lsn : earliest)),
  }
}

function isUnknown(error: unknown): boolean {
  if (error instanceof NothingToOffer) return false
  // The server's own answer that it has removed the WAL is one.
  return !(error instanceof Fault) || error.kind.exitClass === 'unreachable' || error.kind.exitClass === 'busy'
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
