import type { Clock } from '../../std/clock.ts'
import type {
  ArmResult,
  FencerEvent,
  FencerState,
  LeaseDeadline,
  PostgresExit,
  PostgresStart,
  PostgresStop,
} from './core/protocol.ts'
import { Fault } from '../../std/fault.ts'
import { fencerFaults } from './faults.ts'
import type { FencerConnection } from './fencer-connection.ts'
import { killServer, readProcess } from './server-processes.ts'

/**
 * The agent's side of the fencer. Disposing detaches: fencer and PostgreSQL go on, the lease's deadline too, and the
 * next agent attaches with `ensureFencer`. Every method rejects with `fencer-unreachable` when the fencer does not
 * answer; {@link FencerClient.lost} tells when it cannot be relied on any more.
 */
export interface FencerClient extends AsyncDisposable {
  readonly fencerPid: number

  /** Last known; fresh after every answer and event. */
  readonly state: FencerState

  /** The postmaster's process id while one is known to run. */
  readonly postmasterPid: number | undefined

  /**
   * Resolves when the connection ended although nobody detached or shut down: the fencer is gone, or so frozen that it
   * left a command without answer. {@link FencerClient.killOrphans} first, then `ensureFencer` for a new one.
   */
  readonly lost: Promise<void>

  /** Calls `listener` for every event from now on, in order; returns what ends that. */
  onEvent(listener: (event: FencerEvent) => void): Disposable

  /** Starts PostgreSQL. Resolves when the program runs, which is long before it answers queries. */
  start(command: PostgresStart): Promise<{ readonly pid: number }>

  /** Sets or prolongs the time until which PostgreSQL may run; never shortens it within a term. */
  arm(lease: LeaseDeadline): Promise<ArmResult>

  /** This node is, or is about to become, a standby: no deadline. False when it is being fenced already. */
  disarm(): Promise<boolean>

  /** Stops PostgreSQL and resolves when nothing of it runs any more; null when nothing was running. */
  stop(how: PostgresStop, options?: { readonly signal?: AbortSignal | undefined }): Promise<PostgresExit | null>

  /** Asks for the state now. */
  status(): Promise<FencerState>

  /** Stops PostgreSQL, then ends the fencer; resolves when both are gone. */
  shutdown(how: PostgresStop): Promise<void>

  /**
   * Ends with SIGKILL whatever a lost fencer has left running, and the fencer itself if it is only frozen; resolves when
   * nothing of it runs any more.
   */
  killOrphans(options?: { readonly signal?: AbortSignal | undefined }): Promise<void>
}

/** A fencer answers from memory; one that takes this long is frozen. */
const answerMs = 2000
/** Opening the log file and running the program may wait for a disk, and what is asked next waits for them. */
const startMs = 30_000
const sweepMs = 5

/** The client on top of an open conversation. */
export function createFencerClient(connection: FencerConnection, clock: Clock): FencerClient {
  const { fencerPid } = connection
  const fencerStartTicks = readProcess(fencerPid)?.startTicks
  const lost = Promise.withResolvers<void>()
  let leaving = false
  void connection.closed.then(() => {
    if (!leaving) lost.resolve()
  })

  async function stop(how: PostgresStop, signal?: AbortSignal): Promise<PostgresExit | null> {
    const exited = Promise.withResolvers<PostgresExit>()
    using _ = connection.onEvent((event) => {
      if (event.type === 'exited') exited.resolve(event)
    })
    await connection.ask({ command: 'stop', ...how }, startMs)
    if (!isRunning(connection.state)) return null
    const aborted = Promise.withResolvers<never>()
    const abort = (): void => aborted.reject(signal?.reason)
    signal?.addEventListener('abort', abort, { once: true })
    try {
      signal?.throwIfAborted()
      return await Promise.race([exited.promise, aborted.promise, connection.closed.then(() => throwLost())])
    } finally {
      signal?.removeEventListener('abort', abort)
    }
  }

  return {
    fencerPid,
    get state() {
      return connection.state
    },
    get postmasterPid() {
      const { postgres } = connection.state
      return postgres.status === 'running' ? postgres.pid : undefined
    },
    lost: lost.promise,
    onEvent: (listener) => connection.onEvent(listener),
    start: async (command) => (await connection.ask({ command: 'start', ...command }, startMs)) as { pid: number },
    arm: async (lease) => (await connection.ask({ command: 'arm', ...lease }, answerMs)) as ArmResult,
    disarm: async () => (await connection.ask({ command: 'disarm' }, answerMs)) as boolean,
    stop: (how, { signal } = {}) => stop(how, signal),
    status: async () => {
      await connection.ask({ command: 'status' }, answerMs)
      return connection.state
    },
    shutdown: async (how) => {
      leaving = true
      await connection.ask({ command: 'shutdown', ...how }, startMs)
      await connection.closed
      while (isFencer(fencerPid, fencerStartTicks)) await clock.sleep(sweepMs)
    },
    killOrphans: async ({ signal } = {}) => {
      const { server } = connection.state
      for (;;) {
        // The fencer first, lest it answers the end of its server with anything of its own.
        const fencerLeft = isFencer(fencerPid, fencerStartTicks) && process.kill(fencerPid, 'SIGKILL')
        const left = server === null ? 0 : killServer(server)
        if (!fencerLeft && left === 0) return
        await clock.sleep(sweepMs, { signal })
      }
    },
    [Symbol.asyncDispose]: async () => {
      leaving = true
      connection.close()
      await connection.closed
    },
  }
}

function isRunning({ postgres }: FencerState): boolean {
  return postgres.status === 'running' || postgres.status === 'ending'
}

function isFencer(pid: number, startTicks: number | undefined): boolean {
  return startTicks !== undefined && readProcess(pid)?.startTicks === startTicks
}

function throwLost(): never {
  throw new Fault(
    fencerFaults['fencer-unreachable'],
    'Cannot wait for the end of PostgreSQL: the connection to the fencer has ended',
  )
}
