/**
 * When something may be sent under a bandwidth limit. WAL waits only for WAL, since it is what keeps the copy close;
 * everything else waits for all that was sent before. So the limit holds on average, and one large backup does not hold
 * the WAL back.
 */
export interface Pacing {
  /** Until when the bytes sent so far fill the line, in milliseconds of some clock. */
  readonly allUntilMs: number
  /** The same of WAL alone. */
  readonly walUntilMs: number
}

export const idlePacing: Pacing = { allUntilMs: Number.NEGATIVE_INFINITY, walUntilMs: Number.NEGATIVE_INFINITY }

/** Takes the time on the line for some bytes and says when they may be sent. */
export function reserve(
  pacing: Pacing,
  request: {
    readonly kind: 'wal' | 'bulk'
    readonly bytes: number
    readonly nowMs: number
    readonly bytesPerSecond: number
  },
): { readonly pacing: Pacing; readonly startMs: number } {
  const { kind, bytes, nowMs, bytesPerSecond } = request
  const takesMs = (bytes / bytesPerSecond) * 1000
  if (kind === 'bulk') {
    const startMs = Math.max(nowMs, pacing.allUntilMs)
    return { pacing: { ...pacing, allUntilMs: startMs + takesMs }, startMs }
  }
  const startMs = Math.max(nowMs, pacing.walUntilMs)
  return {
    pacing: { walUntilMs: startMs + takesMs, allUntilMs: Math.max(startMs, pacing.allUntilMs) + takesMs },
    startMs,
  }
}
