import type { Clock } from '../../std/clock.ts'

/** One sleeper that anybody may wake. A wake that comes while nobody sleeps ends the next sleep at once. */
export interface Wakeup {
  wake(): void
  /** Resolves after `ms`, or as soon as somebody wakes; never rejects. */
  sleep(ms: number): Promise<void>
}

export function createWakeup(clock: Clock): Wakeup {
  let woken = false
  let interrupt: AbortController | undefined
  return {
    wake: () => {
      woken = true
      interrupt?.abort()
    },
    sleep: async (ms) => {
      if (!woken) {
        interrupt = new AbortController()
        await clock.sleep(ms, { signal: interrupt.signal }).catch(() => undefined)
        interrupt = undefined
      }
      woken = false
    },
  }
}
