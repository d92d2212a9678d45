import { once } from 'node:events'
import type { Transferable, Worker } from 'node:worker_threads'
import { Fault } from '../std/fault.ts'
import { restoreFaults } from './faults.ts'

/** Gives a thread an order and waits for its answer. Throws `restore-worker-failed` when the thread ends instead. */
export async function callThread<Answer>(
  worker: Worker,
  order: unknown,
  transfer: readonly Transferable[],
  signal: AbortSignal,
): Promise<Answer> {
  worker.postMessage(order, transfer)
  const answered = once(worker, 'message', { signal })
  const ended = once(worker, 'exit', { signal }).then(([code]) => {
    throw workerFault(`it ended with code ${code}`)
  })
  ended.catch(() => undefined)
  try {
    const [answer] = (await Promise.race([answered, ended])) as [Answer]
    return answer
  } catch (error) {
    signal.throwIfAborted()
    throw error instanceof Fault ? error : workerFault(error instanceof Error ? error.message : String(error), error)
  }
}

export function workerFault(reason: string, cause?: unknown): Fault {
  return new Fault(restoreFaults['restore-worker-failed'], `Cannot go on restoring: a thread failed: ${reason}`, {
    cause,
  })
}
