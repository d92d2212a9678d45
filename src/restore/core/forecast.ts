/** What one restore on this machine took. */
export interface RestoreMeasurement {
  readonly at: string
  readonly writtenBytes: number
  readonly filesMs: number
  readonly walBytes: number
  readonly recoveryMs: number
}

export interface RestoreForecast {
  readonly filesMs: number
  /** Undefined where no replay was measured. */
  readonly recoveryMs: number | undefined
  /** How it was come by, in words. */
  readonly basis: string
}

/** Smaller restores say more about their overhead than about the speed. */
const tellingBytes = 1024 * 1024
const considered = 5

/** How long a restore will take, by the median speed of the last few on this machine; undefined when there were none. */
export function forecastRestore(
  history: readonly RestoreMeasurement[],
  todo: { readonly dataBytes: number; readonly walBytes: number },
): RestoreForecast | undefined {
  const files = history.filter((one) => one.writtenBytes >= tellingBytes && one.filesMs > 0).slice(-considered)
  if (files.length === 0) return undefined
  const replays = history.filter((one) => one.walBytes >= tellingBytes && one.recoveryMs > 0).slice(-considered)
  const msPerByte = median(files.map((one) => one.filesMs / one.writtenBytes))
  const replayMsPerByte = median(replays.map((one) => one.recoveryMs / one.walBytes))
  return {
    filesMs: msPerByte === undefined ? 0 : todo.dataBytes * msPerByte,
    recoveryMs: replayMsPerByte === undefined ? undefined : todo.walBytes * replayMsPerByte,
    basis: `the median of the last ${files.length} on this machine`,
  }
}

function median(values: readonly number[]): number | undefined {
  const sorted = values.toSorted((left, right) => left - right)
  return sorted[Math.floor(sorted.length / 2)]
}
