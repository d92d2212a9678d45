/** What recovery does on a modest disk; to be replaced by this cluster's own measurements. */
export const assumedReplayBytesPerMs = 60_000
export const assumedRestartMs = 300
export const assumedHandOverMs = 1000

/** How long a crashed server would take until it accepts writes again on the same node. */
export function forecastRestartMs(recoveryBytes: number): number {
  return assumedRestartMs + Math.ceil(recoveryBytes / assumedReplayBytesPerMs)
}
