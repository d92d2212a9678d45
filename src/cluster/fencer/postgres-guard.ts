import type { ChildProcess } from 'node:child_process'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { open, realpath } from 'node:fs/promises'
import type { Clock, MonotonicMs } from '../../std/clock.ts'
import { Fault } from '../../std/fault.ts'
import type {
  ArmResult,
  FencerEvent,
  FencerState,
  FencingCause,
  FencingStage,
  LeaseDeadline,
  PostgresStart,
  PostgresState,
  PostgresStop,
  ServerIdentity,
  StopMode,
} from './core/protocol.ts'
import type { FencerTiming } from './core/stages.ts'
import { decideStage, judgeArm, stageAt } from './core/stages.ts'
import { fencerFaults } from './faults.ts'
import { killServer, readProcess } from './server-processes.ts'

/** How soon what was killed is looked for again. */
const sweepMs = 5
/** A timer takes 31 bits of milliseconds; a longer wait is taken in parts. */
const longestWaitMs = 60_000

const stopSignals = { smart: 'SIGTERM', fast: 'SIGINT', immediate: 'SIGQUIT' } as const satisfies Record<
  StopMode,
  NodeJS.Signals
>

export interface PostgresGuardOptions {
  readonly clock: Clock
  readonly timing: FencerTiming
  /** Put before the server's own arguments so that the kernel ends it with this process; empty where there is none. */
  readonly wrapper: readonly string[]
  readonly onEvent: (event: FencerEvent) => void
}

/**
 * Parent of one PostgreSQL server and keeper of its deadline. Everything that happens on the way to the deadline is
 * synchronous and touches neither disk nor network: timers, signals, /proc.
 */
export class PostgresGuard {
  readonly #options: PostgresGuardOptions
  #child: ChildProcess | undefined
  #server: ServerIdentity | null = null
  #postgres: PostgresState = { status: 'none' }
  #lease: LeaseDeadline | null = null
  #highestTerm = 0
  #fencing: FencerState['fencing'] = null
  /** When a stop that was asked for turns into a kill. */
  #killAt: MonotonicMs | null = null
  #timer: NodeJS.Timeout | undefined

  constructor(options: PostgresGuardOptions) {
    this.#options = options
  }

  get state(): FencerState {
    return {
      postgres: this.#postgres,
      armed: this.#lease === null ? null : { term: this.#lease.term, deadline: this.#lease.deadline },
      server: this.#server,
      diesWithFencer: this.#options.wrapper.length > 0,
      highestTerm: this.#highestTerm,
      fencing: this.#fencing,
    }
  }

  /** True while any process of the server exists or is about to. */
  get active(): boolean {
    return this.#postgres.status !== 'none' && this.#postgres.status !== 'exited'
  }

  async start(command: PostgresStart): Promise<{ readonly pid: number }> {
    this.tick()
    if (this.active) {
      throw new Fault(fencerFaults['fencer-postgres-running'], 'Cannot start PostgreSQL: it is running already')
    }
    const previous = this.#postgres
    this.#postgres = { status: 'starting' }
    try {
      return await this.#launch(command)
    } catch (error) {
      if (this.#postgres.status === 'starting') this.#postgres = previous
      throw error
    }
  }

  arm(lease: LeaseDeadline): ArmResult {
    this.tick()
    const judgement = judgeArm(
      {
        now: this.#options.clock.monotonic(),
        suspendedMs: this.#suspendedMs(),
        highestTerm: this.#highestTerm,
        armed: this.#lease,
        fencing: this.#isFencing(),
      },
      lease,
      this.#options.timing,
    )
    if (judgement.lease === undefined) return { armed: false, because: judgement.because }
    this.#lease = judgement.lease
    this.#highestTerm = judgement.lease.term
    this.tick()
    return { armed: true, deadline: judgement.lease.deadline }
  }

  /** False, and nothing is changed, when the server is being fenced. */
  disarm(): boolean {
    this.tick()
    if (this.#isFencing()) return false
    this.#lease = null
    this.tick()
    return true
  }

  stop({ mode, thenKillAfterMs }: PostgresStop): void {
    this.tick()
    if (this.#child === undefined) return
    const killAt = (this.#options.clock.monotonic() + thenKillAfterMs) as MonotonicMs
    this.#killAt = this.#killAt === null ? killAt : (Math.min(this.#killAt, killAt) as MonotonicMs)
    this.#child.kill(stopSignals[mode])
    this.tick()
  }

  /** For the end of this process itself: leaves nothing running, waits for nothing. */
  killNow(): void {
    this.#child?.kill('SIGKILL')
    if (this.#server !== null && this.active) killServer(this.#server)
  }

  /**
   * Does what is due and sets the alarm for what comes next. Called before every command as well, so that a fencer that
   * was frozen acts on the deadline it knew before it listens to anything that waited in its socket.
   */
  tick(): void {
    clearTimeout(this.#timer)
    const now = this.#options.clock.monotonic()
    const wakes: MonotonicMs[] = []
    if (this.#lease !== null) this.#enforce(this.#lease, now, wakes)
    if (this.#killAt !== null && now < this.#killAt) wakes.push(this.#killAt)
    if (this.#mustKill(now)) this.#kill(wakes)
    if (wakes.length === 0) return
    const waitMs = Math.min(...wakes) - this.#options.clock.monotonic()
    this.#timer = setTimeout(() => this.tick(), Math.min(Math.max(1, waitMs), longestWaitMs))
  }

  async #launch(command: PostgresStart): Promise<{ readonly pid: number }> {
    const [program] = command.argv
    if (program === undefined) throw notStarted('no program named')
    const server = {
      program: await realpath(program).catch((error: unknown) => Promise.reject(notStarted(error))),
      dataDirectory: await realpath(command.cwd).catch((error: unknown) => Promise.reject(notStarted(error))),
    }
    const log = await open(command.logFile, 'a', 0o600).catch((error: unknown) => Promise.reject(notStarted(error)))
    try {
      this.tick()
      if (command.role === 'primary') this.#refuseWithoutLease()
      this.#fencing = null
      this.#killAt = null
      return await this.#spawn(command, server, log.fd)
    } finally {
      await log.close()
    }
  }

  async #spawn(
    { argv, cwd, env }: PostgresStart,
    server: Pick<ServerIdentity, 'program' | 'dataDirectory'>,
    logDescriptor: number,
  ): Promise<{ readonly pid: number }> {
    const [program = '', ...programArguments] = [...this.#options.wrapper, ...argv]
    const child = spawn(program, programArguments, { cwd, env, stdio: ['ignore', logDescriptor, logDescriptor] })
    const { pid } = child
    if (pid === undefined) {
      const [error] = (await once(child, 'error')) as [Error]
      throw notStarted(error)
    }
    child.on('error', () => {
      // A signal that could not be delivered: the process is gone, which its exit event tells.
    })
    child.once('exit', (code, signal) => this.#noticeExit(pid, code, signal))
    this.#child = child
    this.#server = { ...server, postmasterPid: pid, postmasterStartTicks: readProcess(pid)?.startTicks ?? 0 }
    const at = this.#options.clock.monotonic()
    this.#postgres = { status: 'running', pid, startedAt: at }
    this.#options.onEvent({ type: 'started', pid, at })
    this.tick()
    return { pid }
  }

  #refuseWithoutLease(): void {
    const lease = this.#lease
    const { clock, timing } = this.#options
    if (lease !== null && clock.monotonic() < stageAt('fast', lease.deadline, timing)) return
    throw new Fault(
      fencerFaults['fencer-no-lease'],
      'Cannot start PostgreSQL as a primary: no lease is armed, or it ends too soon',
    )
  }

  #enforce(lease: LeaseDeadline, now: MonotonicMs, wakes: MonotonicMs[]): void {
    const { timing } = this.#options
    const running = this.#postgres.status === 'running' || this.#postgres.status === 'ending'
    const stage = this.#isFencing() ? (this.#fencing?.stage ?? null) : null
    const decision = decideStage({ now, suspendedMs: this.#suspendedMs(), lease, stage }, timing)
    if (!running) {
      if (decision.cause === 'suspend' || now >= lease.deadline) this.#lapse(lease, now)
      else wakes.push(lease.deadline)
      return
    }
    if (decision.stage !== null) this.#fence(decision.stage, decision.cause, lease, now)
    if (decision.wakeAt !== null) wakes.push(decision.wakeAt)
  }

  /** Nothing runs, so the end of the lease only has to be remembered. */
  #lapse({ term, deadline }: LeaseDeadline, at: MonotonicMs): void {
    this.#lease = null
    this.#options.onEvent({ type: 'lapsed', at, deadline, term })
  }

  #fence(stage: FencingStage, cause: FencingCause, { term, deadline }: LeaseDeadline, at: MonotonicMs): void {
    // Act first, tell afterwards. The kill itself is done by the tick that decided on it.
    if (stage !== 'kill') this.#child?.kill(stopSignals[stage])
    this.#fencing = { stage, at, deadline, cause, term }
    this.#options.onEvent({ type: 'fencing', stage, at, deadline, cause, term })
  }

  #mustKill(now: MonotonicMs): boolean {
    if (this.#postgres.status === 'ending') return true
    if (this.#postgres.status !== 'running') return false
    return this.#fencing?.stage === 'kill' || (this.#killAt !== null && now >= this.#killAt)
  }

  #kill(wakes: MonotonicMs[]): void {
    const left = this.#server === null ? 0 : killServer(this.#server)
    if (left === 0 && this.#postgres.status === 'ending') this.#finish(this.#postgres)
    else wakes.push((this.#options.clock.monotonic() + sweepMs) as MonotonicMs)
  }

  #noticeExit(pid: number, code: number | null, signal: string | null): void {
    this.#postgres = { status: 'ending', pid, at: this.#options.clock.monotonic(), code, signal }
    this.#child = undefined
    this.#killAt = null
    this.tick()
  }

  #finish({ pid, code, signal, at }: Extract<PostgresState, { status: 'ending' }>): void {
    const fencing = this.#fencing
    const clearedAt = this.#options.clock.monotonic()
    const exit = { pid, code, signal, at, clearedAt, fenced: fencing !== null }
    this.#postgres = { status: 'exited', ...exit }
    if (fencing !== null) this.#lease = null
    this.#options.onEvent({ type: 'exited', ...exit })
    if (fencing === null) return
    this.#options.onEvent({ type: 'fenced', at: clearedAt, deadline: fencing.deadline, term: fencing.term })
  }

  #isFencing(): boolean {
    return this.#fencing !== null && this.active
  }

  #suspendedMs(): number {
    return this.#options.clock.boottime() - this.#options.clock.monotonic()
  }
}

function notStarted(cause: unknown): Fault {
  const reason = cause instanceof Error ? cause.message : String(cause)
  return new Fault(fencerFaults['fencer-postgres-not-started'], `Cannot start PostgreSQL: ${reason}`, { cause })
}
