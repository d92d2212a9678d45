import type { Clock } from './clock.ts'
import { Fault } from './fault.ts'
import { stdFaults } from './faults.ts'

export interface WaitOptions {
  readonly clock: Clock
  readonly signal?: AbortSignal | undefined
  readonly timeoutMs: number
  readonly everyMs?: number
}

/**
 * Looks again and again until `look` gives a value, and gives that. When time runs out, the fault says what was waited for
 * and what was seen last: an error that `look` threw counts as "not yet".
 */
export async function waitUntil<Value>(
  what: string,
  look: () => Promise<Value | undefined>,
  options: WaitOptions,
): Promise<Value> {
  const deadline = options.clock.monotonic() + options.timeoutMs
  let last = ''
  for (;;) {
    options.signal?.throwIfAborted()
    try {
      const value = await look()
      if (value !== undefined) return value
      last = ''
    } catch (error) {
      last = error instanceof Error ? `; last: ${error.message}` : ''
    }
    if (options.clock.monotonic() >= deadline) {
      throw new Fault(stdFaults['deadline-passed'], `Cannot see ${what}: not within ${options.timeoutMs} ms${last}`)
    }
    await options.clock.sleep(options.everyMs ?? 20, { signal: options.signal })
  }
}
