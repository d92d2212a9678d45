import { Fault } from './fault.ts'
import { stdFaults } from './faults.ts'

/**
 * Does `work` with a signal that aborts after `ms` or with the caller's signal. When time runs out the fault says what was
 * waited for: `Cannot <what>: no answer within 5000 ms`. `work` must obey its signal.
 */
export async function withDeadline<Result>(
  what: string,
  ms: number,
  signal: AbortSignal | undefined,
  work: (signal: AbortSignal) => Promise<Result>,
): Promise<Result> {
  const deadline = new AbortController()
  const passed = new Fault(stdFaults['deadline-passed'], `Cannot ${what}: no answer within ${ms} ms`)
  const timer = setTimeout(() => deadline.abort(passed), ms)
  const combined = signal === undefined ? deadline.signal : AbortSignal.any([signal, deadline.signal])
  try {
    combined.throwIfAborted()
    return await work(combined)
  } catch (error) {
    if (deadline.signal.aborted && signal?.aborted !== true) throw passed
    throw error
  } finally {
    clearTimeout(timer)
  }
}
