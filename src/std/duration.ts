/** A length of time, as configuration and command line give it. */
export interface Duration {
  readonly ms: number
}

const units = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const
const pattern = /^(\d+(?:\.\d+)?)\s*(ms|s|m|min|h|d)$/

/** Reads `500ms`, `5s`, `1.5m`, `2h`, `30d`; undefined when the text is no duration. A bare number has no unit: refused. */
export function parseDuration(text: string): Duration | undefined {
  const match = pattern.exec(text.trim())
  if (match === null) return undefined
  const unit = match[2] === 'min' ? 'm' : (match[2] as keyof typeof units)
  return { ms: Math.round(Number(match[1]) * units[unit]) }
}

/** Writes a duration so that {@link parseDuration} reads the same one back: the largest unit that divides it. */
export function formatDuration(duration: Duration): string {
  for (const unit of ['d', 'h', 'm', 's'] as const) {
    if (duration.ms > 0 && duration.ms % units[unit] === 0) return `${duration.ms / units[unit]}${unit}`
  }
  return `${duration.ms}ms`
}

/** Writes how long something took, for people: `37 ms`, `4.2 s`, `3 min 20 s`, `2 h 5 min`. */
export function describeElapsed(ms: number): string {
  if (ms < 1000) return `${Math.round(ms)} ms`
  if (ms < 59_950) return `${(ms / 1000).toFixed(ms < 9950 ? 1 : 0)} s`
  const seconds = Math.round(ms / 1000)
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${seconds % 60} s`
  const minutes = Math.round(seconds / 60)
  if (minutes < 48 * 60) return `${Math.floor(minutes / 60)} h ${minutes % 60} min`
  return `${Math.floor(minutes / 1440)} d ${Math.round((minutes % 1440) / 60)} h`
}
