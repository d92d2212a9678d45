import { DatabaseSync } from 'node:sqlite'
import type { Clock } from './clock.ts'
import { Fault } from './fault.ts'
import { stdFaults } from './faults.ts'

const retryMs = 10
const busy = 5

/**
 * Does `work` while no other process of this machine does work under the same file. The kernel drops the lock when its
 * holder dies, however that happens, so there is nothing stale to judge. Node has no file locks of its own; SQLite's
 * exclusive transaction is one, and the file stays empty.
 */
export async function withProcessLock<Result>(
  file: string,
  options: { readonly clock: Clock; readonly deadlineMs: number; readonly signal?: AbortSignal | undefined },
  work: () => Promise<Result>,
): Promise<Result> {
  const { clock, signal } = options
  const start = clock.monotonic()
  using lock = new DatabaseSync(file, { timeout: 0 })
  while (!tryLock(lock)) {
    if (clock.monotonic() - start >= options.deadlineMs) {
      throw new Fault(
        stdFaults['deadline-passed'],
        `Cannot lock ${file}: another process has held it for ${options.deadlineMs} ms`,
      )
    }
    await clock.sleep(retryMs, { signal })
  }
  return await work()
}

function tryLock(lock: DatabaseSync): boolean {
  try {
    lock.exec('BEGIN EXCLUSIVE')
    return true
  } catch (error) {
    if (error instanceof Error && 'errcode' in error && error.errcode === busy) return false
    throw error
  }
}
