import { readFile, readlink, realpath, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Fault } from '../std/fault.ts'
import { parsePostmasterPid } from './core/postmaster-pid.ts'
import type { PostmasterPid } from './core/postmaster-pid.ts'
import { postgresFaults } from './faults.ts'

/** How hard a server is stopped. `immediate` needs crash recovery at the next start. */
export type StopMode = 'smart' | 'fast' | 'immediate'

/** The signal that asks a postmaster for each way of stopping. */
export const stopSignals = { smart: 'SIGTERM', fast: 'SIGINT', immediate: 'SIGQUIT' } as const satisfies Record<
  StopMode,
  NodeJS.Signals
>

/** What `postmaster.pid` says; undefined when there is none. The process may be dead: see {@link runningPostmaster}. */
export async function readPostmasterPid(dataDirectory: string): Promise<PostmasterPid | undefined> {
  const text = await readFile(join(dataDirectory, 'postmaster.pid'), 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined
    throw error
  })
  return text === undefined ? undefined : parsePostmasterPid(text)
}

/**
 * The postmaster that runs on a data directory; undefined when none does. On Linux a pid that was given to another
 * program since is recognised by that program's working directory, which for a postmaster is its data directory.
 */
export async function runningPostmaster(dataDirectory: string): Promise<PostmasterPid | undefined> {
  const found = await readPostmasterPid(dataDirectory)
  if (found === undefined || !isAlive(found.pid)) return undefined
  return (await worksElsewhere(found.pid, dataDirectory)) ? undefined : found
}

/** Asks the server on a data directory to read its configuration files again. */
export async function reloadServer(dataDirectory: string): Promise<void> {
  process.kill((await requirePostmaster(dataDirectory)).pid, 'SIGHUP')
}

/** Asks the standby on a data directory to become a primary, without a connection. It has not happened yet on return. */
export async function requestPromotion(dataDirectory: string): Promise<void> {
  const { pid } = await requirePostmaster(dataDirectory)
  await writeFile(join(dataDirectory, 'promote'), '', { mode: 0o600 })
  process.kill(pid, 'SIGUSR1')
}

async function requirePostmaster(dataDirectory: string): Promise<PostmasterPid> {
  const running = await runningPostmaster(dataDirectory)
  if (running !== undefined) return running
  throw new Fault(
    postgresFaults['postgres-not-running'],
    `Cannot signal the server of ${dataDirectory}: it does not run`,
    {
      details: { dataDirectory },
    },
  )
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}

/** False where the working directory cannot be told, so that a live process is never taken for a dead one. */
async function worksElsewhere(pid: number, dataDirectory: string): Promise<boolean> {
  const directory = await readlink(`/proc/${pid}/cwd`).catch(() => undefined)
  return directory !== undefined && directory !== (await realpath(dataDirectory))
}
