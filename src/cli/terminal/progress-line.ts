import type { Clock } from '../../std/clock.ts'
import { describeBytes } from '../../std/byte-size.ts'
import { describeElapsed } from '../../std/duration.ts'

/** Half of the estimated rate comes from about the last this many milliseconds. */
const memoryMs = 5000

/**
 * Text for a progress line: share, amounts, rate and the time left, judged by the recent rate so that a slow start does
 * not spoil the estimate. `total` undefined: how much there is in all is not known yet.
 */
export function openProgressLine(
  clock: Clock,
): (doneBytes: number, totalBytes: number | undefined, what: string) => string {
  let last: { readonly at: number; readonly bytes: number } | undefined
  let rate: number | undefined
  return (doneBytes, totalBytes, what) => {
    const now = clock.monotonic()
    if (last !== undefined && now - last.at >= 100) {
      const current = ((doneBytes - last.bytes) / (now - last.at)) * 1000
      const weight = 0.5 ** ((now - last.at) / memoryMs)
      rate = rate === undefined ? current : rate * weight + current * (1 - weight)
      last = { at: now, bytes: doneBytes }
    }
    last ??= { at: now, bytes: doneBytes }
    const speed = rate === undefined || rate <= 0 ? '' : ` · ${describeBytes(rate)}/s`
    if (totalBytes === undefined || totalBytes === 0) return `${what}: ${describeBytes(doneBytes)}${speed}`
    const share = Math.min(100, Math.floor((doneBytes / totalBytes) * 100))
    const left = totalBytes - doneBytes
    const eta = rate === undefined || rate <= 0 || left <= 0 ? '' : ` · ${describeElapsed((left / rate) * 1000)} left`
    return `${what}: ${share} % · ${describeBytes(doneBytes)} of ${describeBytes(totalBytes)}${speed}${eta}`
  }
}
