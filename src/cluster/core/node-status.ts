import type { EpochMs, MonotonicMs } from '../../std/clock.ts'
import type { Lsn, TimelineId } from '../../wal/core/lsn.ts'

/**
 * What a node says about itself at one moment: the answer behind the health endpoints and `holdfast status`. Assembled
 * anew for every request from what the agent saw last, so that a lease that has run out since then counts as gone.
 */
export interface NodeStatus {
  readonly cluster: string
  readonly node: string
  readonly agentVersion: string
  readonly now: { readonly wall: EpochMs; readonly monotonic: MonotonicMs }

  /** What PostgreSQL is at the moment; `unknown` while nothing runs and no data directory says it. */
  readonly role: 'primary' | 'standby' | 'unknown'
  readonly state: ServerState
  /**
   * Until when this node may accept writes: the end of its lease, known only after its term row has been committed.
   * Null on every other node, and on a primary that is not ready for clients.
   */
  readonly writableUntil: MonotonicMs | null
  readonly leaseTtlMs: number
  /** When the agent's loop last completed a cycle. */
  readonly lastCycleAt: MonotonicMs
  readonly paused: boolean

  readonly systemIdentifier: bigint | null
  readonly serverVersionNumber: number | null
  readonly postmasterStartedAt: EpochMs | null
  readonly timeline: TimelineId | null
  readonly positions: WalPositions
  readonly replicationState: 'streaming' | 'in archive recovery' | null
  /** The standbys connected to this node. */
  readonly replication: readonly ReplicationConnection[]

  /** How the leader counts this standby for durability; null when unknown or not a standby. */
  readonly durability: 'sync' | 'quorum' | 'async' | null
  readonly tags: NodeTags
  readonly labels: Readonly<Record<string, string>>

  /** The cluster as last read from the coordinator; null while it could not be read for a lease's length. */
  readonly view: ClusterStatus | null
  /** When the coordinator last answered; null before the first time. */
  readonly coordinatorSeenAt: EpochMs | null
}

export type ServerState =
  | 'running'
  | 'starting'
  | 'stopping'
  | 'stopped'
  | 'crashed'
  | 'initializing'
  | 'cloning'
  | 'rewinding'
  | 'promoting'

export interface NodeTags {
  readonly noFailover: boolean
  readonly noSync: boolean
  readonly noLoadBalance: boolean
}

export interface WalPositions {
  /** Where a primary writes. */
  readonly written: Lsn | null
  /** Received and flushed by a standby. */
  readonly received: Lsn | null
  readonly replayed: Lsn | null
  /** Commit time of the last transaction replayed. */
  readonly replayedAt: EpochMs | null
  readonly replayPaused: boolean
  /** The end of WAL that the walreceiver last heard of from its sender. */
  readonly latestEnd: Lsn | null
}

export interface ReplicationConnection {
  readonly user: string
  readonly applicationName: string
  readonly clientAddress: string | null
  readonly state: string
  readonly syncState: string
  readonly syncPriority: number
}

export interface ClusterStatus {
  readonly members: readonly MemberStatus[]
  readonly leader: string | null
  /** The leader's WAL position as last recorded. */
  readonly leaderLsn: Lsn | null
  readonly term: number
  readonly history: readonly HistoryEntry[]
  readonly switchover: { readonly from: string | null; readonly to: string | null; readonly at: EpochMs } | null
}

export interface MemberStatus {
  readonly name: string
  readonly role: 'leader' | 'standby'
  readonly state: ServerState
  readonly durability: 'sync' | 'quorum' | 'async' | null
  readonly apiUrl: string
  readonly host: string
  readonly port: number
  readonly timeline: TimelineId | null
  readonly received: Lsn | null
  readonly replayed: Lsn | null
  readonly tags: NodeTags
}

export interface HistoryEntry {
  readonly timeline: TimelineId
  readonly switchedAt: Lsn
  readonly reason: string
  readonly at: EpochMs
  readonly newLeader: string
}
