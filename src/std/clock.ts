import { uptime } from 'node:os'
import { setTimeout as delay } from 'node:timers/promises'

/** Milliseconds since 1970-01-01 UTC. May step; never used to measure how long something took. */
export type EpochMs = number & { readonly brand: 'EpochMs' }

/**
 * Milliseconds of the kernel's CLOCK_MONOTONIC. All processes of one machine see the same value, so a deadline may be
 * handed from one process to another. Stands still while the machine is suspended.
 */
export type MonotonicMs = number & { readonly brand: 'MonotonicMs' }

/** Milliseconds of the kernel's CLOCK_BOOTTIME: like monotonic, but goes on while the machine is suspended. */
export type BoottimeMs = number & { readonly brand: 'BoottimeMs' }

/** Where time comes from; everything that waits or measures takes one, so that tests and simulation can give another. */
export interface Clock {
  wall(): EpochMs
  monotonic(): MonotonicMs
  boottime(): BoottimeMs
  /** Resolves after `ms`; rejects with the signal's reason when it aborts first. */
  sleep(ms: number, options?: { readonly signal?: AbortSignal | undefined }): Promise<void>
}

export const systemClock: Clock = {
  wall: () => Date.now() as EpochMs,
  monotonic: () => (Number(process.hrtime.bigint() / 1000n) / 1000) as MonotonicMs,
  boottime: () => (uptime() * 1000) as BoottimeMs,
  sleep: async (ms, options = {}) => {
    options.signal?.throwIfAborted()
    try {
      await delay(Math.max(0, ms), undefined, { signal: options.signal })
    } catch (error) {
      options.signal?.throwIfAborted()
      throw error
    }
  },
}
