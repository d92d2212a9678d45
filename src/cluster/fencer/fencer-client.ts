import type { Clock } from '../../std/clock.ts'
import type { ArmResult, FencerEvent, FencerState, LeaseDeadline, PostgresExit, PostgresStart, PostgresStop } from './core/protocol.ts'

/**
 * The agent's side of the fencer. Disposing detaches: fencer and PostgreSQL go on, the lease's deadline too, and the
 * next agent attaches with {@link ensureFencer}. Every method rejects with `fencer-unreachable` when the fencer does not
 * answer; when its connection ends unexpectedly the fencer has died, and {@link FencerClient.killOrphans} must be called.
 */
export interface FencerClient extends AsyncDisposable {
  readonly fencerPid: number

  /** Last known; fresh after every answer and event. */
  readonly state: FencerState

  /** The postmaster's process id while one is known to run. */
  readonly postmasterPid: number | undefined

  /** Resolves when the connection ended although nobody detached or shut down: the fencer is gone. */
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

  /** Ends, with SIGKILL, whatever the lost fencer has left running; resolves when nothing of it runs any more. */
  killOrphans(): Promise<void>
}

export interface EnsureFencerOptions {
  /** Holds `fencer.sock` and `fencer.log`. */
  readonly stateDirectory: string
  readonly clock: Clock
  readonly signal?: AbortSignal | undefined
  /** Defaults to {@link defaultFencerTiming}. Only a fencer started by this call takes it over. */
  readonly timing?: Partial<FencerTiming> | undefined
}

export interface FencerTiming {
  /** How long before the deadline PostgreSQL is asked to stop fast. */
  readonly fastBeforeMs: number
  /** How long before the deadline it is asked to stop immediately. */
  readonly immediateBeforeMs: number
  /** How long before the deadline everything is killed, so that it is gone at the deadline. */
  readonly killBeforeMs: number
  /** A jump of boottime minus monotonic by more than this ends an armed lease at once. */
  readonly suspendLimitMs: number
}

/** Attaches to the fencer of this state directory, starting one when none is running. */
export declare function ensureFencer(options: EnsureFencerOptions): Promise<FencerClient>

/** Attaches to a running fencer; undefined when none is running. */
export declare function attachFencer(options: EnsureFencerOptions): Promise<FencerClient | undefined>
