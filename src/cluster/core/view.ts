import type { EpochMs, MonotonicMs } from '../../std/clock.ts'
import type { Lsn, TimelineId } from '../../wal/core/lsn.ts'
import type { Durability } from './durability.ts'
import type {
  InitializeEntry,
  LeaderEntry,
  MemberEntry,
  MemberTags,
  PauseEntry,
  StateEntry,
  SwitchoverEntry,
} from './keys.ts'
import type { HeldLease } from './lease.ts'
import type { Lineage } from './lineage.ts'
import type { SyncSet } from './sync-set.ts'

/**
 * All a decision may depend on: what was observed at one moment, as plain data. Nothing is left out and nothing is
 * guessed; what could not be observed in time says so.
 */
export interface View {
  readonly now: MonotonicMs
  readonly wall: EpochMs
  readonly self: SelfView
  readonly coordinator: CoordinatorView
  readonly lease: HeldLease | null
  readonly data: DataView
  readonly server: ServerView
  readonly task: TaskView | null
  readonly memory: MemoryView
}

/** What this node is set up to be. */
export interface SelfView {
  readonly node: string
  readonly host: string
  readonly port: number
  readonly priority: number
  readonly site: string | null
  readonly apiUrl: string | null
  readonly tags: MemberTags
  readonly agentVersion: string
  readonly durability: Durability
  readonly major: number
  readonly canRewind: boolean
  readonly ttlMs: number
  /** True from the moment on when the agent was asked to end: hand over, stop, decide nothing else. */
  readonly leaving: boolean
  /** What is left on the file system of the data directory; null where that is not known. */
  readonly freeBytes: number | null
}

export type CoordinatorView =
  | { readonly status: 'read'; readonly cluster: ClusterView }
  | { readonly status: 'unreachable'; readonly since: MonotonicMs; readonly because: string }
  | { readonly status: 'malformed'; readonly because: string }

/** A value and the revision on which a write that replaces it must depend; revision 0: the key does not exist. */
export interface Versioned<Value> {
  readonly value: Value
  readonly revision: number
}

export interface ClusterView {
  readonly initialize: Versioned<InitializeEntry | null>
  readonly leader: Versioned<LeaderEntry | null>
  readonly state: Versioned<StateEntry | null>
  readonly members: readonly MemberEntry[]
  readonly switchover: Versioned<SwitchoverEntry | null>
  readonly pause: PauseEntry | null
}

export type DataView =
  | { readonly status: 'empty' }
  | {
      readonly status: 'present'
      readonly systemIdentifier: string
      readonly major: number
      /** The timeline and its history according to the files; of a stopped server what its control file says. */
      readonly lineage: Lineage
      /** The highest timeline of which any history file is there. */
      readonly newestTimeline: TimelineId
      /** True when it will start as a standby (`standby.signal`). */
      readonly standbySignal: boolean
      /** True when it was stopped cleanly; false after a crash and while it runs. */
      readonly clean: boolean
      /** Where crash recovery would begin, and how much WAL it would have to replay at most. */
      readonly recoveryBytes: number
      /** A copy that is not consistent before it has replayed WAL it does not have: it has to follow a leader at once. */
      readonly incomplete: boolean
      /** The least position its WAL is known to reach; of a running server the end is in its own view. */
      readonly reached: Lsn
      /** Made by an unfinished bootstrap of this node that never led: nothing in it can be missed. */
      readonly unborn: boolean
    }
  /** Something is there that is no data directory, or cannot be read. Never touched. */
  | { readonly status: 'unusable'; readonly because: string }

export type ServerView =
  | { readonly status: 'stopped'; readonly crashedAt: MonotonicMs | null }
  /** Started, but does not take queries yet. */
  | { readonly status: 'starting'; readonly since: MonotonicMs }
  /** Its process runs, but it has not answered in time. */
  | { readonly status: 'silent'; readonly since: MonotonicMs }
  | PrimaryView
  | StandbyView

export interface PrimaryView {
  readonly status: 'primary'
  readonly lineage: Lineage
  readonly flushLsn: Lsn
  readonly oldestLsn: Lsn | null
  readonly senders: readonly SenderView[]
  readonly slots: readonly SlotView[]
}

export interface StandbyView {
  readonly status: 'standby'
  readonly lineage: Lineage
  /** End of the WAL that is durable here; null while that is not certain (local WAL is still being read). */
  readonly endLsn: Lsn | null
  readonly replayLsn: Lsn | null
  readonly receiving: boolean
  /** `host:port` it is set to stream from; null: from nowhere. */
  readonly upstream: string | null
  readonly slots: readonly SlotView[]
}

/** A standby as the primary sees it. */
export interface SenderView {
  readonly name: string
  readonly streaming: boolean
  readonly flushLsn: Lsn | null
}

export interface SlotView {
  readonly name: string
  readonly active: boolean
}

export type TaskKind = 'bootstrap' | 'clone' | 'rewind' | 'start' | 'stop' | 'promote' | 'hand-over' | 'switchover'

export interface TaskView {
  readonly kind: TaskKind
  readonly since: MonotonicMs
}

/** What earlier cycles found out and no observation can tell again. */
export interface MemoryView {
  /** Since when the leader's key has been seen absent, without a break. */
  readonly leaderAbsentSince: MonotonicMs | null
  /** Leave the leadership to others until then: this node has just given it up. */
  readonly yieldUntil: MonotonicMs | null
  /** Times of the crashes of a server that ran as a primary here. */
  readonly crashes: readonly MonotonicMs[]
  readonly failures: readonly TaskFailure[]
  /** When the data was last replaced by a clone. */
  readonly clonedAt: MonotonicMs | null
  /** This standby has been cut off from WAL for that term and its receiver is gone. */
  readonly frozenForTerm: number | null
  /** The sets under any of which the primary may acknowledge commits; null: not known yet. */
  readonly syncInForce: readonly SyncSet[] | null
  /** What the server is being brought to, and since when. */
  readonly applying: { readonly sync: SyncSet; readonly since: MonotonicMs } | null
  /** The term row was committed in this term, by the server that now runs. */
  readonly writableTerm: number | null
  /** By standby: since when it has been streaming and caught up, or since when it has not. */
  readonly followers: readonly FollowerView[]
  /** The upstream this standby was last pointed to. */
  readonly following: string | null
  /** Since when a standby that should stream has not. */
  readonly notReceivingSince: MonotonicMs | null
}

export interface FollowerView {
  readonly node: string
  readonly caughtUp: boolean
  readonly since: MonotonicMs
}

export interface TaskFailure {
  readonly kind: TaskKind
  readonly at: MonotonicMs
  readonly code: string
  readonly message: string
}
