import { once } from 'node:events'
import type { Transferable, Worker } from 'node:worker_threads'
import { Fault } from '../std/fault.ts'
import { restoreFaults } from './faults.ts'

/** Young objects of these threads are few and large; room for more only makes the process larger. */
export const threadLimits = { maxYoungGenerationSizeMb: 8 } as const

/** Gives a thread an order and waits for its answer. Throws `restore-worker-failed` when the thread ends instead. */
export async function callThread<Answer>(
  worker: Worker,
  order: unknown,
  transfer: readonly Transferable[],
  signal: AbortSignal,
): Promise<Answer> {
  // What is not waited for any more is not listened for either: a thread gets thousands of orders.
  const settled = new AbortController()
  const listening = { signal: AbortSignal.any([signal, settled.signal]) }
  worker.postMessage(order, transfer)
  const answered = once(worker, 'message', listening)
  const ended = once(worker, 'exit', listening).then(([code]) => {
    throw workerFault(`it ended with code ${code}`)
  })
  ended.catch(() => undefined)
  try {
    const [answer] = (await Promise.race([answered, ended])) as [Answer]
    return answer
  } catch (error) {
    signal.throwIfAborted()
    throw error instanceof Fault ? error : workerFault(error instanceof Error ? error.message : String(error), error)
  } finally {
    answered.catch(() => undefined)
    settled.abort()
  }
}

export function workerFault(reason: string, cause?: unknown): Fault {
  return new Fault(restoreFaults['restore-worker-failed'], `Cannot go on restoring: a thread failed: ${reason}`, {
    cause,
  })
}
