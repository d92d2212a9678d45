import type { MonotonicMs } from '../../std/clock.ts'
import type { Lsn } from '../../wal/core/lsn.ts'
import type { SyncSet } from '../core/sync-set.ts'
import type { FollowerView, MemoryView, TaskFailure, TaskKind } from '../core/view.ts'

/**
 * What the agent remembers between cycles. Losing it (a restart of the agent) is always safe: everything in it only
 * allows something, and is found out again.
 */
export class AgentMemory {
  leaderAbsentSince: MonotonicMs | null = null
  yieldUntil: MonotonicMs | null = null
  crashes: MonotonicMs[] = []
  clonedAt: MonotonicMs | null = null
  failures: TaskFailure[] = []
  /** Asked to freeze for this term; frozen once the receiver is seen gone. */
  freezingForTerm: number | null = null
  frozenForTerm: number | null = null
  syncInForce: readonly SyncSet[] | null = null
  applying: { readonly sync: SyncSet; readonly since: MonotonicMs } | null = null
  writableTerm: number | null = null
  followers = new Map<string, FollowerMemory>()
  following: string | null = null
  notReceivingSince: MonotonicMs | null = null
  /** The last flushed position seen of a primary here, for the forecast of crash recovery. */
  lastFlushLsn: Lsn | null = null
  coordinatorFailingSince: MonotonicMs | null = null
  silentSince: MonotonicMs | null = null

  /** A server that starts, or has ended, proves nothing about the one before. */
  forgetServer(): void {
    this.syncInForce = null
    this.applying = null
    this.writableTerm = null
    this.frozenForTerm = null
    this.freezingForTerm = null
    this.following = null
    this.notReceivingSince = null
    this.silentSince = null
    this.followers.clear()
  }

  noteFailure(kind: TaskKind, at: MonotonicMs, error: unknown): void {
    const code = error instanceof Error && 'code' in error ? String(error.code) : 'unexpected'
    const message = error instanceof Error ? error.message : String(error)
    this.failures = [...this.failures.slice(-19), { kind, at, code, message }]
  }

  /** Other data has been put in place of what had failed. */
  forgetFailures(kind: TaskKind): void {
    this.failures = this.failures.filter((failure) => failure.kind !== kind)
  }

  noteCrash(at: MonotonicMs): void {
    this.crashes = [...this.crashes.slice(-19), at]
  }

  view(): MemoryView {
    return {
      leaderAbsentSince: this.leaderAbsentSince,
      yieldUntil: this.yieldUntil,
      crashes: this.crashes,
      clonedAt: this.clonedAt,
      failures: this.failures,
      frozenForTerm: this.frozenForTerm,
      syncInForce: this.syncInForce,
      applying: this.applying,
      writableTerm: this.writableTerm,
      followers: [...this.followers].map(([node, { caughtUp, since }]): FollowerView => ({ node, caughtUp, since })),
      following: this.following,
      notReceivingSince: this.notReceivingSince,
    }
  }
}

export interface FollowerMemory {
  readonly caughtUp: boolean
  readonly since: MonotonicMs
  /** What it has to reach before it counts: where the primary was when it was first seen streaming. */
  readonly goal: Lsn | null
}
