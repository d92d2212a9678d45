import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { open } from 'node:fs/promises'
import { setTimeout as delay } from 'node:timers/promises'
import { Fault, isFault } from '../std/fault.ts'
import type { FaultKind } from '../std/fault.ts'
import { stdFaults } from '../std/faults.ts'
import { lastLines } from '../std/run-program.ts'
import { classifyStartFailure } from './core/start-failure.ts'
import type { StartFailure } from './core/start-failure.ts'
import { dataDirectoryMajor } from './data-directory.ts'
import { postgresFaults } from './faults.ts'
import type { Installation } from './installation.ts'
import { requireFreePort } from './port.ts'
import { readPostmasterPid, runningPostmaster, stopSignals } from './postmaster.ts'
import type { StopMode } from './postmaster.ts'
import { programEnvironment } from './program-environment.ts'

/** How to start the server in the foreground; the fencer starts it as its own child. */
export interface PostgresCommand {
  readonly program: string
  readonly arguments: readonly string[]
  readonly environment: Readonly<Record<string, string>>
}

export interface StartOptions {
  /** What the server writes to its stderr is appended here. */
  readonly logFile: string
  /** Parameters that win over the configuration files, for this start only. */
  readonly parameters?: Readonly<Record<string, string>> | undefined
  /** Port and addresses that must be free; without it the server itself finds out. */
  readonly listens?: { readonly port: number; readonly addresses: readonly string[] } | undefined
  /** `connections`: resolve when clients are accepted. `process`: when the postmaster has taken the directory. */
  readonly until?: 'connections' | 'process' | undefined
  readonly timeoutMs?: number | undefined
  readonly signal?: AbortSignal | undefined
}

export interface ServerExit {
  readonly exitCode: number | null
  readonly killedBy: NodeJS.Signals | null
}

/** A server that is our child. Disposing it stops it, harder and harder. */
export interface RunningServer extends AsyncDisposable {
  readonly pid: number
  readonly dataDirectory: string
  readonly exited: Promise<ServerExit>
  stop(mode: StopMode, options?: { readonly timeoutMs?: number }): Promise<ServerExit>
}

export function postgresCommand(
  installation: Installation,
  dataDirectory: string,
  parameters: Readonly<Record<string, string>> = {},
): PostgresCommand {
  return {
    program: installation.tools.postgres,
    arguments: [
      '-D',
      dataDirectory,
      ...Object.entries(parameters).flatMap(([name, value]) => ['-c', `${name}=${value}`]),
    ],
    environment: programEnvironment(installation),
  }
}

/** Starts a server as a plain child of this process and waits until it is ready. A server that is not is stopped. */
export async function startServer(
  installation: Installation,
  dataDirectory: string,
  options: StartOptions,
): Promise<RunningServer> {
  options.signal?.throwIfAborted()
  await requireMajor(installation, dataDirectory)
  await requireStopped(dataDirectory)
  if (options.listens !== undefined) await requireFreePort(options.listens.port, options.listens.addresses)
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await startOnce(installation, dataDirectory, options)
    } catch (error) {
      // A killed postmaster's children need a moment to notice and to let go of its shared memory.
      if (attempt === orphanAttempts || !isFault(error, postgresFaults['postgres-orphans-remain'])) throw error
    }
    await delay(orphanWaitMs, undefined, { signal: options.signal })
  }
}

const orphanAttempts = 50
const orphanWaitMs = 100

async function startOnce(
  installation: Installation,
  dataDirectory: string,
  options: StartOptions,
): Promise<RunningServer> {
  const log = await open(options.logFile, 'a', 0o600)
  const logStart = (await log.stat()).size
  const readLog = (): Promise<string> => readFrom(options.logFile, logStart)
  let server: RunningServer
  try {
    const command = postgresCommand(installation, dataDirectory, options.parameters)
    server = await launch(command, dataDirectory, log.fd)
  } finally {
    await log.close()
  }
  try {
    await waitUntilReady(server, options, readLog)
    return server
  } catch (error) {
    await server[Symbol.asyncDispose]()
    throw error
  }
}

/** Fails with `postgres-wrong-major` when a directory was written by another major release. */
export async function requireMajor(installation: Installation, dataDirectory: string): Promise<void> {
  const major = await dataDirectoryMajor(dataDirectory)
  if (major === installation.major) return
  throw new Fault(
    postgresFaults['postgres-wrong-major'],
    `Cannot open ${dataDirectory} with PostgreSQL ${installation.version}: it was written by PostgreSQL ${major}`,
    { details: { dataDirectory, directoryMajor: major, installationMajor: installation.major } },
  )
}

/** Fails with `postgres-already-running` when a postmaster works on a directory. */
export async function requireStopped(dataDirectory: string): Promise<void> {
  const running = await runningPostmaster(dataDirectory)
  if (running === undefined) return
  throw new Fault(
    postgresFaults['postgres-already-running'],
    `Cannot use ${dataDirectory}: a server with process id ${running.pid} runs on it`,
    { details: { dataDirectory, pid: running.pid } },
  )
}

async function launch(command: PostgresCommand, dataDirectory: string, logFd: number): Promise<RunningServer> {
  const child = spawn(command.program, command.arguments, {
    env: { ...command.environment },
    cwd: dataDirectory,
    stdio: ['ignore', logFd, logFd],
  })
  const exited = new Promise<ServerExit>((resolve) => {
    child.once('exit', (exitCode, killedBy) => resolve({ exitCode, killedBy }))
  })
  await new Promise<void>((resolve, reject) => {
    child.once('spawn', resolve)
    child.once('error', (cause) => {
      reject(
        new Fault(postgresFaults['postgres-start-failed'], `Cannot run ${command.program}: ${cause.message}`, {
          cause,
        }),
      )
    })
  })
  return runningServer(child, dataDirectory, exited)
}

function runningServer(child: ChildProcess, dataDirectory: string, exited: Promise<ServerExit>): RunningServer {
  const { pid } = child
  if (pid === undefined) throw new Error('a spawned child has no pid')
  const stopWithin = async (signal: NodeJS.Signals, timeoutMs: number): Promise<ServerExit | undefined> => {
    child.kill(signal)
    const timeout = new AbortController()
    const late = delay(timeoutMs, undefined, { signal: timeout.signal }).catch(() => undefined)
    const result = await Promise.race([exited, late])
    timeout.abort()
    return result
  }
  return {
    pid,
    dataDirectory,
    exited,
    stop: async (mode, options = {}) => {
      const timeoutMs = options.timeoutMs ?? 60_000
      const exit = await stopWithin(stopSignals[mode], timeoutMs)
      if (exit !== undefined) return exit
      throw new Fault(
        postgresFaults['postgres-stop-failed'],
        `Cannot stop the server of ${dataDirectory}: process ${pid} still runs ${timeoutMs} ms after a ${mode} stop`,
        { details: { dataDirectory, pid, mode } },
      )
    },
    [Symbol.asyncDispose]: async () => {
      if ((await stopWithin('SIGINT', 10_000)) !== undefined) return
      if ((await stopWithin('SIGQUIT', 5000)) !== undefined) return
      child.kill('SIGKILL')
      await exited
    },
  }
}

async function waitUntilReady(
  server: RunningServer,
  options: StartOptions,
  readLog: () => Promise<string>,
): Promise<void> {
  const until = options.until ?? 'connections'
  const timeoutMs = options.timeoutMs ?? 60_000
  const timeout = AbortSignal.timeout(timeoutMs)
  for (;;) {
    options.signal?.throwIfAborted()
    const exit = await Promise.race([server.exited, delay(10)])
    if (exit !== undefined) throw startFault(server.dataDirectory, exit, await readLog())
    const found = await readPostmasterPid(server.dataDirectory)
    if (found?.pid === server.pid) {
      if (found.status === 'ready' || found.status === 'standby') return
      if (until === 'process' && found.status !== undefined) return
    }
    if (timeout.aborted) {
      throw new Fault(
        postgresFaults['postgres-start-failed'],
        `Cannot start the server of ${server.dataDirectory}: not ready after ${timeoutMs} ms: ${lastLines(await readLog(), 5)}`,
        { details: { dataDirectory: server.dataDirectory } },
      )
    }
  }
}

const startFaults = {
  'port-in-use': postgresFaults['postgres-port-in-use'],
  'disk-full': stdFaults['disk-full'],
  orphans: postgresFaults['postgres-orphans-remain'],
  other: postgresFaults['postgres-start-failed'],
} as const satisfies Record<StartFailure, FaultKind>

function startFault(dataDirectory: string, exit: ServerExit, log: string): Fault {
  const kind = startFaults[classifyStartFailure(log)]
  return new Fault(kind, `Cannot start the server of ${dataDirectory}: ${lastLines(log, 8)}`, {
    details: { dataDirectory, exitCode: exit.exitCode, killedBy: exit.killedBy },
  })
}

async function readFrom(path: string, start: number): Promise<string> {
  const file = await open(path, 'r')
  try {
    const { size } = await file.stat()
    const from = Math.max(start, size - (1 << 18))
    const buffer = Buffer.alloc(Math.max(0, size - from))
    const { bytesRead } = await file.read(buffer, 0, buffer.length, from)
    return buffer.subarray(0, bytesRead).toString('utf8')
  } finally {
    await file.close()
  }
}
