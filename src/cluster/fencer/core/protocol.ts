import type { MonotonicMs } from '../../../std/clock.ts'

/**
 * What agent and fencer say to each other: one JSON object a line over the node's Unix socket. A new agent must be able
 * to talk to the fencer of the version before it, since the fencer outlives agent restarts: fields may be added, and
 * {@link protocolVersion} grows only when an old fencer could not be driven safely any more.
 */
export const protocolVersion = 1

/** How the `postgres` program is run. `argv[0]` is the program, an absolute path. */
export interface PostgresStart {
  readonly argv: readonly string[]
  readonly env: Readonly<Record<string, string>>
  /** The data directory, absolute. Processes of this server are recognized by it when their parent is gone. */
  readonly cwd: string
  /** Where the server's stdout and stderr are appended to; opened before the server starts. */
  readonly logFile: string
  /** `primary`: refused unless a lease is armed. `standby`: runs without one. */
  readonly role: 'primary' | 'standby'
}

export interface LeaseDeadline {
  readonly term: number
  /** From this moment on no process of this server may run. */
  readonly deadline: MonotonicMs
  /** Boottime minus monotonic when the renewal behind this deadline was sent; tells the fencer of a suspend since. */
  readonly suspendedMs: number
}

export type StopMode = 'smart' | 'fast' | 'immediate'

export interface PostgresStop {
  readonly mode: StopMode
  /** Everything still running after this is killed. */
  readonly thenKillAfterMs: number
}

export type FencingStage = 'fast' | 'immediate' | 'kill'

/** `deadline`: the lease came to its end without renewal. `suspend`: the machine slept, so the lease's age is unknown. */
export type FencingCause = 'deadline' | 'suspend'

export interface PostgresExit {
  readonly pid: number
  readonly code: number | null
  readonly signal: string | null
  /** When the end of the postmaster was noticed. */
  readonly at: MonotonicMs
  /** When the last of its processes was gone. */
  readonly clearedAt: MonotonicMs
  /** True when the lease's end, not a person or the agent, stopped it. */
  readonly fenced: boolean
}

export type PostgresState =
  | { readonly status: 'none' }
  | { readonly status: 'starting' }
  | { readonly status: 'running'; readonly pid: number; readonly startedAt: MonotonicMs }
  /** The postmaster is gone, some of its processes are not yet. */
  | {
      readonly status: 'ending'
      readonly pid: number
      readonly at: MonotonicMs
      readonly code: number | null
      readonly signal: string | null
    }
  | ({ readonly status: 'exited' } & PostgresExit)

/** By what a process is recognized as part of the server although its parent is gone. Paths without symbolic links. */
export interface ServerIdentity {
  readonly postmasterPid: number
  /** When the postmaster started, in clock ticks since boot: its process id may be used again, this pair is not. */
  readonly postmasterStartTicks: number
  readonly program: string
  readonly dataDirectory: string
}

export interface FencerState {
  readonly postgres: PostgresState
  /** The lease under which the server may run as a primary; null: none, the server must be a standby. */
  readonly armed: { readonly term: number; readonly deadline: MonotonicMs } | null
  /** The server that runs, or ran last. */
  readonly server: ServerIdentity | null
  /** True when the kernel stops PostgreSQL should the fencer die; otherwise only the agent does. */
  readonly diesWithFencer: boolean
  /** The highest term ever armed; older ones are refused. */
  readonly highestTerm: number
  /** Set from the first stage on, until the next start. It cannot be called back. */
  readonly fencing: {
    readonly stage: FencingStage
    readonly at: MonotonicMs
    readonly deadline: MonotonicMs
    readonly cause: FencingCause
    readonly term: number
  } | null
}

export type FencerEvent =
  | { readonly type: 'started'; readonly pid: number; readonly at: MonotonicMs }
  /** Nothing of this server runs any more: neither the postmaster nor any process it had. */
  | ({ readonly type: 'exited' } & PostgresExit)
  | {
      readonly type: 'fencing'
      readonly stage: FencingStage
      readonly at: MonotonicMs
      readonly deadline: MonotonicMs
      readonly cause: FencingCause
      readonly term: number
    }
  /** Follows `exited` when the lease's end was what stopped the server. */
  | { readonly type: 'fenced'; readonly at: MonotonicMs; readonly deadline: MonotonicMs; readonly term: number }
  /** The lease ended while no server was running, so nothing had to be stopped. */
  | { readonly type: 'lapsed'; readonly at: MonotonicMs; readonly deadline: MonotonicMs; readonly term: number }

/**
 * `older-term`: a newer term was seen. `too-late`: the deadline is nearer than the first stage. `fencing`: this run of
 * the server is being stopped already. `suspended`: the machine slept since the renewal was sent.
 */
export type ArmRefusal = 'older-term' | 'too-late' | 'fencing' | 'suspended'

export type ArmResult =
  | { readonly armed: true; readonly deadline: MonotonicMs }
  | { readonly armed: false; readonly because: ArmRefusal }

export type FencerCommand =
  | ({ readonly command: 'start' } & PostgresStart)
  | ({ readonly command: 'arm' } & LeaseDeadline)
  | { readonly command: 'disarm' }
  | ({ readonly command: 'stop' } & PostgresStop)
  | { readonly command: 'status' }
  | ({ readonly command: 'shutdown' } & PostgresStop)

export type FencerRequest = FencerCommand & { readonly id: number }

export type FencerReply =
  | { readonly id: number; readonly result: unknown; readonly state: FencerState }
  | { readonly id: number; readonly refused: string; readonly message: string; readonly state: FencerState }

export type FencerMessage =
  | { readonly hello: number; readonly pid: number; readonly state: FencerState }
  | FencerReply
  | { readonly event: FencerEvent; readonly state: FencerState }
