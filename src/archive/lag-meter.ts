import type { Clock, EpochMs } from '../std/clock.ts'
import type { Lsn } from '../wal/core/lsn.ts'

/** How far the archive is behind, as far as it can know: what it has not heard of it does not count as nothing. */
export interface ArchiveMeasures {
  /** When the server last said something. */
  readonly heardAt: EpochMs | null
  /** When the repository last had everything that the server had told of; nothing older is missing. */
  readonly caughtUpAt: EpochMs | null
  /** WAL that became durable, over the last minute or since the start. */
  readonly bytesPerSecond: number
}

export interface LagMeter {
  heard(): void
  note(positions: { readonly serverLsn: Lsn | undefined; readonly durableLsn: Lsn | undefined }): void
  read(): ArchiveMeasures
}

const windowMs = 60_000
const sampleEveryMs = 1000

export function createLagMeter(clock: Clock): LagMeter {
  let heardAt: EpochMs | null = null
  let caughtUpAt: EpochMs | null = null
  const samples: { readonly at: number; readonly lsn: Lsn }[] = []
  return {
    heard: () => void (heardAt = clock.wall()),
    note: ({ serverLsn, durableLsn }) => {
      if (durableLsn === undefined) return
      // At the moment when the server said where it is; what it has written since is not known.
      if (serverLsn !== undefined && durableLsn >= serverLsn) caughtUpAt = heardAt
      const now = clock.monotonic()
      const last = samples.at(-1)
      if (last !== undefined && (now - last.at < sampleEveryMs || durableLsn < last.lsn)) return
      samples.push({ at: now, lsn: durableLsn })
      while (samples.length > 2 && now - (samples[0]?.at ?? now) > windowMs) samples.shift()
    },
    read: () => {
      const [first, last] = [samples[0], samples.at(-1)]
      const elapsedMs = first === undefined ? 0 : clock.monotonic() - first.at
      const bytes = first === undefined || last === undefined ? 0 : Number(last.lsn - first.lsn)
      return { heardAt, caughtUpAt, bytesPerSecond: elapsedMs <= 0 ? 0 : Math.round((bytes * 1000) / elapsedMs) }
    },
  }
}
