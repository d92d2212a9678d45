import type { Clock } from '../std/clock.ts'
import { RequestFailure, requestFault } from './request-fault.ts'

export interface Patience {
  readonly clock: Clock
  readonly random: () => number
  /** How long passing trouble is waited out; a server that answers 503 gets four times as long. */
  readonly patienceMs: number
}

export interface PersistOptions extends Patience {
  /** Continues "Cannot …". */
  readonly action: string
  readonly store: string
  readonly signal: AbortSignal | undefined
  /** Called once when the credentials are refused; gives whether others may be there now. */
  readonly renew?: (() => Promise<boolean>) | undefined
}

const firstWaitMs = 200
const longestWaitMs = 10_000

/**
 * Does a request until it succeeds, its trouble is of a kind that does not pass, or patience ends; then throws the fault.
 * Waits grow from try to try; a server that says how long to wait is obeyed. Credentials that are refused are read again
 * once, since they may have been replaced.
 */
export async function persist<Result>(
  options: PersistOptions,
  request: (attempt: number) => Promise<Result>,
): Promise<Result> {
  const { clock, signal, patienceMs, random } = options
  const startedAt = clock.monotonic()
  let renewed = false
  for (let attempt = 1; ; attempt += 1) {
    signal?.throwIfAborted()
    try {
      return await request(attempt)
    } catch (error) {
      signal?.throwIfAborted()
      if (!(error instanceof RequestFailure)) throw error
      const { trouble } = error
      if (trouble.kind === 'credentials-refused' && !renewed && (await options.renew?.()) === true) {
        renewed = true
        continue
      }
      const doubled = Math.min(longestWaitMs, firstWaitMs * 2 ** (attempt - 1)) * (0.75 + random() / 2)
      const waitMs = Math.max(doubled, trouble.waitMs ?? 0)
      const limitMs = trouble.kind === 'overloaded' ? 4 * patienceMs : patienceMs
      const late = clock.monotonic() - startedAt + waitMs > limitMs
      if (!trouble.passing || late) throw requestFault(options.action, options.store, error)
      await clock.sleep(waitMs, { signal })
    }
  }
}
