import type { Clock } from './clock.ts'

export interface RetryOptions {
  readonly clock: Clock
  readonly signal?: AbortSignal | undefined
  /** Tries in all, the first included. */
  readonly attempts: number
  /** Wait before the second try; it doubles from try to try. */
  readonly firstWaitMs: number
  readonly longestWaitMs: number
  /** Chance from 0 to 1 that spreads the waits of several clients, by ± 25 %. */
  readonly random: () => number
  /** Whether another try can help; by default always. */
  readonly worthwhile?: (error: unknown) => boolean
}

/** Does `work` until it succeeds or the tries are used up, then throws the last error. The number of tries is bounded. */
export async function retry<Result>(
  work: (attempt: number) => Promise<Result>,
  options: RetryOptions,
): Promise<Result> {
  for (let attempt = 1; ; attempt += 1) {
    options.signal?.throwIfAborted()
    try {
      return await work(attempt)
    } catch (error) {
      const last = attempt >= options.attempts || options.signal?.aborted === true
      if (last || options.worthwhile?.(error) === false) throw error
    }
    const wait = Math.min(options.longestWaitMs, options.firstWaitMs * 2 ** (attempt - 1))
    await options.clock.sleep(wait * (0.75 + options.random() / 2), { signal: options.signal })
  }
}
