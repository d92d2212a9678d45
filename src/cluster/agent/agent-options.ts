import type { Coordinator } from '../../coordinator/coordinator.ts'
import type { ClientRule } from '../../postgres/core/host-based-authentication.ts'
import type { ParameterValue } from '../../postgres/core/server-settings.ts'
import type { Installation } from '../../postgres/installation.ts'
import type { Clock } from '../../std/clock.ts'
import type { Log } from '../../std/log.ts'
import type { Secret } from '../../std/secret.ts'
import type { Durability } from '../core/durability.ts'
import type { MemberTags } from '../core/keys.ts'

/** Everything an agent has to be told about its node and its cluster. */
export interface AgentOptions {
  readonly cluster: string
  readonly node: string
  /** Where the other nodes reach this node's PostgreSQL. */
  readonly host: string
  readonly port: number
  readonly listenAddresses: readonly string[]
  /** Where others reach this agent's HTTP server; null when it has none. */
  readonly apiUrl: string | null
  readonly dataDirectory: string
  readonly stateDirectory: string
  readonly installation: Installation
  /** Opened and closed by the caller. */
  readonly coordinator: Coordinator
  readonly superuser: Role
  readonly replication: Role
  /** Clients that `pg_hba.conf` admits besides the members. */
  readonly clients: readonly ClientRule[]
  /** Data-bearing nodes expected at most; senders and slots are sized from it. Default 5. */
  readonly memberCount?: number | undefined
  readonly maxSlotWalKeepSize?: string | undefined
  readonly walSegmentBytes?: number | undefined
  /** The user's own PostgreSQL parameters. */
  readonly parameters?: Readonly<Record<string, ParameterValue>> | undefined
  readonly durability: Durability
  readonly lease: LeaseOptions
  readonly priority: number
  readonly site: string | null
  readonly tags: MemberTags
  readonly labels?: Readonly<Record<string, string>> | undefined
  readonly agentVersion: string
  readonly clock: Clock
  readonly log: Log
  /**
   * Called when this node has become the writable leader of a term; the signal aborts when it no longer is. What it
   * returns is awaited before the agent ends. For the archiver.
   */
  readonly whileLeading?: ((leadership: Leadership, signal: AbortSignal) => Promise<void>) | undefined
}

export interface Role {
  readonly name: string
  readonly password: Secret
}

export interface LeaseOptions {
  readonly ttlMs: number
  readonly renewMs: number
  /** How long before the lease's end the fencer asks PostgreSQL to stop fast. */
  readonly stopAheadMs: number
  /** How long before the lease's end the fencer stops it immediately. */
  readonly killAheadMs: number
}

export interface Leadership {
  readonly term: number
  readonly timeline: number
  readonly systemIdentifier: string
}
