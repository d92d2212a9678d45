/** What decides when the unfinished segment is flushed; all in milliseconds of one monotonic clock. */
export interface FlushView {
  /** How old WAL may become before it is in the repository. */
  readonly flushMs: number
  /** When the oldest byte came in that is not flushed. */
  readonly pendingSince: number
  /** When the newest did. */
  readonly lastReceivedAt: number
  /** When the last flush ended; before the first, anything not later. */
  readonly lastFlushedAt: number
  /** How long a flush takes, by those before. */
  readonly expectedMs: number
}

/**
 * When the unfinished segment is to be flushed. Whatever happens so early that it is in the repository when the oldest
 * byte is `flushMs` old, as far as can be told. When nothing more comes for a moment, then: a commit on a quiet server does
 * not wait for the end of a period in which nothing else happens. But not at every pause of a busy one: between two
 * flushes lies at least that moment, so their number is bounded whatever the server does.
 */
export function flushTime(view: FlushView): number {
  const quietMs = quietPeriodMs(view.flushMs)
  const latest = view.pendingSince + Math.max(quietMs, view.flushMs - 2 * view.expectedMs)
  const quiet = Math.max(view.lastReceivedAt + quietMs, view.lastFlushedAt + quietMs)
  return Math.min(latest, quiet)
}

/** How long nothing may come before what there is is flushed: a fifth of the limit, at most a second. */
export function quietPeriodMs(flushMs: number): number {
  return Math.min(1000, flushMs / 5)
}

/** The next expectation: mostly what was, and at once what is longer. */
export function expectDuration(expectedMs: number, tookMs: number): number {
  return tookMs > expectedMs ? tookMs : expectedMs * 0.8 + tookMs * 0.2
}
