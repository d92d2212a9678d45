import { readdir, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { runningPostmaster, stopSignals } from '../postgres/postmaster.ts'
import type { Clock } from '../std/clock.ts'
import { isFault } from '../std/fault.ts'
import { stdFaults } from '../std/faults.ts'
import { withProcessLock } from '../std/process-lock.ts'
import { waitUntil } from '../std/wait-until.ts'

export const sandboxPrefix = 'holdfast-sandbox-'

const lockName = 'in-use'
/** A sandbox younger than this may not have its lock yet. */
const settledMs = 60_000

/** Marks a sandbox as in use for as long as this process lives and does not dispose what it gets. */
export async function holdSandbox(directory: string, clock: Clock): Promise<AsyncDisposable> {
  const held = Promise.withResolvers<void>()
  const released = Promise.withResolvers<void>()
  const done = withProcessLock(join(directory, lockName), { clock, deadlineMs: 0 }, () => {
    held.resolve()
    return released.promise
  })
  await Promise.race([held.promise, done])
  return {
    [Symbol.asyncDispose]: async () => {
      released.resolve()
      await done
    },
  }
}

/** Stops and removes what sandboxes left whose process is gone: it was killed, or the machine went down. */
export async function removeStaleSandboxes(parentDirectory: string, clock: Clock): Promise<void> {
  for (const name of await readdir(parentDirectory)) {
    if (!name.startsWith(sandboxPrefix)) continue
    const directory = join(parentDirectory, name)
    const changed = await stat(directory).catch(() => undefined)
    if (changed === undefined || clock.wall() - changed.mtimeMs < settledMs) continue
    try {
      await withProcessLock(join(directory, lockName), { clock, deadlineMs: 0 }, () => removeSandbox(directory, clock))
    } catch (error) {
      if (!isFault(error, stdFaults['deadline-passed'])) throw error
    }
  }
}

async function removeSandbox(directory: string, clock: Clock): Promise<void> {
  const dataDirectory = join(directory, 'data')
  const server = await runningPostmaster(dataDirectory)
  if (server !== undefined) {
    process.kill(server.pid, stopSignals.immediate)
    const stopped = async (): Promise<true | undefined> =>
      (await runningPostmaster(dataDirectory)) === undefined ? true : undefined
    await waitUntil(`the end of the server left in ${directory}`, stopped, { clock, timeoutMs: 30_000 })
  }
  await rm(directory, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 })
}
