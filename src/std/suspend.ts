import type { Clock } from './clock.ts'

/**
 * Notices that the machine slept (suspend, a paused virtual machine that tells its guest): CLOCK_BOOTTIME went on while
 * CLOCK_MONOTONIC stood still. Whatever was measured on the monotonic clock before then is void, a lease above all.
 */
export interface SuspendDetector {
  /** Milliseconds slept since the last call, 0 when none; differences below the clocks' grain count as none. */
  sleptMs(): number
}

const grainMs = 50

export function createSuspendDetector(clock: Clock): SuspendDetector {
  let difference = clock.boottime() - clock.monotonic()
  return {
    sleptMs: () => {
      const now = clock.boottime() - clock.monotonic()
      const slept = now - difference
      difference = now
      return slept > grainMs ? slept : 0
    },
  }
}
