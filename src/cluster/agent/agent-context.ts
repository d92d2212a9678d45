import type { ClusterKeys } from '../core/keys.ts'
import type { FencerClient } from '../fencer/fencer-client.ts'
import type { AgentMemory } from './agent-memory.ts'
import type { AgentOptions } from './agent-options.ts'
import type { EventLog } from './event-log.ts'
import type { LeaseKeeper } from './lease-keeper.ts'
import type { ServerFactsReader } from './server-facts.ts'
import type { ConfigurationWriter } from './server-configuration.ts'
import type { SyncProver } from './sync-prover.ts'

/** What the parts of one agent share. */
export interface AgentContext {
  readonly options: AgentOptions
  readonly keys: ClusterKeys
  readonly memory: AgentMemory
  readonly keeper: LeaseKeeper
  readonly configuration: ConfigurationWriter
  readonly facts: ServerFactsReader
  readonly prover: SyncProver
  readonly events: EventLog
  /** The present fencer; a lost one is replaced. */
  readonly fencer: () => FencerClient
  /** System identifier of a data directory that this node made and that never led; null when there is none. */
  readonly unborn: () => string | null
  readonly setUnborn: (systemIdentifier: string | null) => Promise<void>
  readonly walSegmentBytes: () => number
  /** Looks again at what is fixed for a data directory; called when a task may have made another one. */
  readonly learnDataDirectory: () => Promise<void>
  /** Asks for another cycle soon. */
  readonly wake: () => void
  /** True once the running server has answered a query. */
  answered: boolean
  /** True while the agent itself stops the server: its end is then no crash. */
  stopping: boolean
}
