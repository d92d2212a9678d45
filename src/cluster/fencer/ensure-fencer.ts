import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, open, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Clock } from '../../std/clock.ts'
import { Fault, isFault } from '../../std/fault.ts'
import { withProcessLock } from '../../std/process-lock.ts'
import { lastLines } from '../../std/run-program.ts'
import type { FencerTiming } from './core/stages.ts'
import { defaultFencerTiming } from './core/stages.ts'
import { fencerFaults } from './faults.ts'
import type { FencerClient } from './fencer-client.ts'
import { createFencerClient } from './fencer-client.ts'
import { openFencerConnection } from './fencer-connection.ts'
import { endFrozenFencer, noteFencer } from './frozen-fencer.ts'

export interface EnsureFencerOptions {
  /** Holds `fencer.sock`, `fencer.log`, `fencer.lock` and `fencer.pid`. Absolute, short enough for a socket below it. */
  readonly stateDirectory: string
  readonly clock: Clock
  readonly signal?: AbortSignal | undefined
  /** Defaults to `defaultFencerTiming`. Only a fencer started by this call takes it over. */
  readonly timing?: Partial<FencerTiming> | undefined
}

const startMs = 10_000
const pollMs = 10
/** The kernel's limit is 108 with the closing zero; 104 on other systems. */
const longestSocketPathBytes = 100

/** Attaches to the fencer of this state directory, starting one when none is running. */
export async function ensureFencer(options: EnsureFencerOptions): Promise<FencerClient> {
  const { stateDirectory, clock, signal } = options
  await mkdir(stateDirectory, { recursive: true, mode: 0o700 })
  refuseLongPath(socketPathOf(stateDirectory))
  // One at a time: of two agents that find no fencer, the second must find the one that the first has started.
  return await withProcessLock(
    join(stateDirectory, 'fencer.lock'),
    { clock, deadlineMs: 2 * startMs, signal },
    async () => (await attachUnlessFrozen(options)) ?? (await startFencer(options)),
  )
}

async function attachUnlessFrozen(options: EnsureFencerOptions): Promise<FencerClient | undefined> {
  try {
    return await attachFencer(options)
  } catch (error) {
    if (!isFault(error, fencerFaults['fencer-unreachable'])) throw error
    if (!(await endFrozenFencer(options.stateDirectory, options))) throw error
    return undefined
  }
}

/** Attaches to a running fencer; undefined when none is running. */
export async function attachFencer({
  stateDirectory,
  clock,
  signal,
}: EnsureFencerOptions): Promise<FencerClient | undefined> {
  const connection = await openFencerConnection(socketPathOf(stateDirectory), signal)
  return connection === undefined ? undefined : createFencerClient(connection, clock)
}

async function startFencer(options: EnsureFencerOptions): Promise<FencerClient> {
  const { stateDirectory, clock, signal } = options
  const socketPath = socketPathOf(stateDirectory)
  const logPath = join(stateDirectory, 'fencer.log')
  // Left by a fencer that was killed; nobody listens there, and the lock keeps others from listening just now.
  await rm(socketPath, { force: true })
  const log = await open(logPath, 'w', 0o600)
  try {
    const timing = JSON.stringify({ ...defaultFencerTiming, ...options.timing })
    const child = spawn(process.execPath, ['--max-old-space-size=64', programPath(), socketPath, timing], {
      cwd: '/',
      // Nothing of the agent's environment, which may hold secrets, belongs into a process that lives this long.
      env: { LANG: 'C' },
      stdio: ['ignore', log.fd, log.fd],
      detached: true,
    })
    if (child.pid === undefined) {
      const [error] = (await once(child, 'error')) as [Error]
      throw notStarted(error.message, error)
    }
    child.unref()
    await noteFencer(stateDirectory, child.pid)
    const start = clock.monotonic()
    for (;;) {
      const client = await attachFencer(options)
      if (client !== undefined) return client
      const ended = child.exitCode !== null || child.signalCode !== null
      if (ended || clock.monotonic() - start > startMs) {
        child.kill('SIGKILL')
        throw notStarted(lastLines(await readFile(logPath, 'utf8'), 5))
      }
      await clock.sleep(pollMs, { signal })
    }
  } finally {
    await log.close()
  }
}

function socketPathOf(stateDirectory: string): string {
  return join(stateDirectory, 'fencer.sock')
}

/** Beside this file, with this file's ending: sources and compiled files run alike. */
function programPath(): string {
  const ending = import.meta.url.endsWith('.ts') ? 'ts' : 'js'
  return fileURLToPath(new URL(`./main.${ending}`, import.meta.url))
}

function refuseLongPath(path: string): void {
  if (Buffer.byteLength(path) <= longestSocketPathBytes) return
  throw notStarted(
    `the path ${path} is longer than the ${longestSocketPathBytes} bytes a socket may have; use a shorter state directory`,
  )
}

function notStarted(reason: string, cause?: unknown): Fault {
  return new Fault(fencerFaults['fencer-not-started'], `Cannot start the fencer: ${reason}`, { cause })
}
