import type { Coordinator, LeaseId } from '../../coordinator/coordinator.ts'
import type { Clock, MonotonicMs } from '../../std/clock.ts'
import { withDeadline } from '../../std/deadline.ts'
import type { Log } from '../../std/log.ts'
import { leaseDeadline, leaseHolds } from '../core/lease.ts'
import type { HeldLease } from '../core/lease.ts'
import type { FencerClient } from '../fencer/fencer-client.ts'

/**
 * Renews this node's two leases: its membership, and the leadership while it has it. It runs beside everything else and
 * waits for nothing but the coordinator, so that no task can delay a renewal. Each confirmed renewal of the leadership
 * gives the fencer its new deadline, counted from when the renewal was sent.
 */
export interface LeaseKeeperOptions {
  readonly coordinator: Coordinator
  readonly clock: Clock
  readonly ttlMs: number
  readonly renewMs: number
  readonly log: Log
  readonly fencer: () => FencerClient
  readonly onChange: () => void
  readonly signal: AbortSignal
}

interface Leadership extends HeldLease {
  readonly id: LeaseId
  /** Boottime minus monotonic when the renewal was sent: a machine that slept since cannot tell how old its lease is. */
  readonly suspendedMs: number
}

const suspendLimitMs = 1000

export class LeaseKeeper {
  readonly #options: LeaseKeeperOptions
  #leadership: Leadership | null = null
  #membership: LeaseId | null = null

  constructor(options: LeaseKeeperOptions) {
    this.#options = options
  }

  /** Null when there is none, or when it is over by our own count. */
  get held(): HeldLease | null {
    const leadership = this.#leadership
    if (!leaseHolds(leadership, this.#options.clock.monotonic())) return null
    return this.#suspendedMs() - leadership.suspendedMs > suspendLimitMs ? null : leadership
  }

  get leaderLease(): LeaseId | null {
    return this.#leadership?.id ?? null
  }

  get memberLease(): LeaseId | null {
    return this.#membership
  }

  /** Renews until the signal aborts; never rejects. */
  async run(): Promise<void> {
    await Promise.all([this.#repeat(() => this.#renewLeadership()), this.#repeat(() => this.#renewMembership())])
  }

  /** Takes over a leadership that was granted by a call sent at `sentAt`; false when it is of no use any more. */
  async hold(id: LeaseId, term: number, sentAt: MonotonicMs): Promise<boolean> {
    const leadership = {
      id,
      term,
      deadline: leaseDeadline(sentAt, this.#options.ttlMs),
      suspendedMs: this.#suspendedMs(),
    }
    if (!(await this.#arm(leadership))) return false
    this.#leadership = leadership
    return true
  }

  /** Goes on with a leadership that an earlier life of this agent had taken. */
  async adopt(id: LeaseId, term: number): Promise<boolean> {
    const sentAt = this.#options.clock.monotonic()
    return (await this.#keepAlive(id)) && (await this.hold(id, term, sentAt))
  }

  /** Tells a new fencer at once what the one before it knew. */
  async rearm(): Promise<void> {
    await this.#renewLeadership()
  }

  /** Gives the leadership up: forgotten first, so that whatever happens to the call nobody here counts on it. */
  async release(): Promise<void> {
    const leadership = this.#leadership
    this.#leadership = null
    if (leadership !== null)
      await this.#call('give up the lease', (signal) =>
        this.#options.coordinator.revokeLease(leadership.id, { signal }),
      )
  }

  async leave(): Promise<void> {
    const membership = this.#membership
    this.#membership = null
    if (membership !== null)
      await this.#call('leave', (signal) => this.#options.coordinator.revokeLease(membership, { signal }))
  }

  async ensureMembership(): Promise<LeaseId> {
    const { coordinator, ttlMs } = this.#options
    this.#membership ??= await this.#call('join', (signal) => coordinator.grantLease(ttlMs, { signal }))
    return this.#membership
  }

  async #repeat(renew: () => Promise<void>): Promise<void> {
    const { clock, renewMs, signal, log } = this.#options
    while (!signal.aborted) {
      await renew().catch((error: unknown) => {
        if (!signal.aborted) log.warn('a lease could not be renewed', { error })
      })
      await clock.sleep(renewMs, { signal }).catch(() => undefined)
    }
  }

  async #renewLeadership(): Promise<void> {
    const leadership = this.#leadership
    if (leadership === null) return
    const { clock, ttlMs, onChange, log } = this.#options
    const sentAt = clock.monotonic()
    const suspendedMs = this.#suspendedMs()
    const alive = await this.#keepAlive(leadership.id)
    if (this.#leadership?.id !== leadership.id) return
    const renewed = { ...leadership, deadline: leaseDeadline(sentAt, ttlMs), suspendedMs }
    if (alive && (await this.#arm(renewed))) {
      if (this.#leadership?.id === leadership.id) this.#leadership = renewed
      return
    }
    log.warn('the lease is lost', { term: leadership.term, alive })
    this.#leadership = null
    onChange()
  }

  async #renewMembership(): Promise<void> {
    const membership = this.#membership
    if (membership === null || (await this.#keepAlive(membership))) return
    if (this.#membership === membership) this.#membership = null
    this.#options.onChange()
  }

  #suspendedMs(): number {
    const { clock } = this.#options
    return clock.boottime() - clock.monotonic()
  }

  async #arm({ term, deadline, suspendedMs }: Leadership): Promise<boolean> {
    const { fencer, log } = this.#options
    const result = await fencer().arm({ term, deadline, suspendedMs })
    if (!result.armed) log.warn('the fencer refused the lease', { term, because: result.because })
    return result.armed
  }

  #keepAlive(id: LeaseId): Promise<boolean> {
    return this.#call('renew the lease', (signal) => this.#options.coordinator.keepAlive(id, { signal }))
  }

  #call<Result>(what: string, work: (signal: AbortSignal) => Promise<Result>): Promise<Result> {
    return withDeadline(what, this.#options.ttlMs / 2, undefined, work)
  }
}
