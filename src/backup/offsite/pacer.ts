import type { Clock } from '../../std/clock.ts'
import { idlePacing, reserve } from './core/pacing.ts'

/** Waits until bytes may be sent. */
export type Pacer = (kind: 'wal' | 'bulk', bytes: number, signal: AbortSignal | undefined) => Promise<void>

/** Keeps what is sent to one place below a bandwidth, on average; without one, nothing waits. */
export function openPacer(clock: Clock, bytesPerSecond: number | undefined): Pacer {
  if (bytesPerSecond === undefined) return async () => {}
  let pacing = idlePacing
  return async (kind, bytes, signal) => {
    const nowMs = clock.monotonic()
    const reserved = reserve(pacing, { kind, bytes, nowMs, bytesPerSecond })
    pacing = reserved.pacing
    if (reserved.startMs > nowMs) await clock.sleep(reserved.startMs - nowMs, { signal })
  }
}
