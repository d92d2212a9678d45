import type { MonotonicMs } from '../../std/clock.ts'
import type { Lsn } from '../../wal/core/lsn.ts'
import type { StateEntry } from './keys.ts'
import type { RuleId } from './rule-ids.ts'
import type { SyncSet } from './sync-set.ts'

/**
 * What to do, in order; the first command that fails ends the cycle. Every command may be given again without harm.
 * The commands of {@link TaskCommand} take long: they run beside the cycles and are the last of their decision.
 */
export type Command = InstantCommand | TaskCommand

export type InstantCommand =
  /** Claim the founding of the cluster, under this node's own lease. */
  | { readonly command: 'claim-initialize' }
  /** Take the lease and, with it, the next term; refused when anything changed since it was seen. */
  | {
      readonly command: 'acquire'
      readonly state: StateEntry
      readonly stateRevision: number
      readonly founding: Founding | null
    }
  /** Give up the lease now, so that another node need not wait for its end. */
  | { readonly command: 'release'; readonly because: string; readonly yieldMs: number }
  | { readonly command: 'publish-state'; readonly state: StateEntry; readonly stateRevision: number }
  /** Note the beginning of this leadership for the history. */
  | { readonly command: 'record-history'; readonly state: StateEntry; readonly startLsn: Lsn }
  /** Cut this standby off from WAL and, when its receiver has gone, count as its vote for `term`. */
  | { readonly command: 'freeze'; readonly term: number }
  | { readonly command: 'follow'; readonly host: string; readonly port: number }
  /** Put a durability set in force and prove it with a commit; the proof arrives as an observation. */
  | { readonly command: 'apply-sync'; readonly sync: SyncSet; readonly term: number }
  /** Commit the row of this term under the set that is in force. */
  | { readonly command: 'prove-writable'; readonly term: number }
  | { readonly command: 'create-slots'; readonly names: readonly string[] }
  | { readonly command: 'drop-slots'; readonly names: readonly string[] }
  /** The request was fulfilled, refused or overtaken. */
  | { readonly command: 'end-switchover'; readonly id: string; readonly revision: number; readonly outcome: string }

export type TaskCommand =
  | { readonly command: 'bootstrap' }
  | { readonly command: 'clone'; readonly host: string; readonly port: number; readonly because: string }
  | { readonly command: 'rewind'; readonly host: string; readonly port: number; readonly divergedAt: Lsn }
  | {
      readonly command: 'start'
      readonly as: 'primary' | 'standby'
      readonly sync: SyncSet | null
      readonly upstream: Upstream | null
    }
  | { readonly command: 'stop'; readonly because: string }
  | { readonly command: 'promote'; readonly term: number; readonly timeline: number; readonly sync: SyncSet }
  /** Stop a server that is no use, at once, and only then give up the lease. */
  | { readonly command: 'hand-over'; readonly because: string; readonly yieldMs: number }
  | { readonly command: 'switchover'; readonly to: string; readonly id: string; readonly revision: number }

export interface Upstream {
  readonly host: string
  readonly port: number
}

export interface Founding {
  readonly initializeRevision: number
  readonly systemIdentifier: string
}

export interface Reason {
  readonly rule: RuleId
  readonly text: string
}

export interface Decision {
  readonly commands: readonly Command[]
  readonly because: readonly Reason[]
  /** Decide again no later than then, even if nothing happens. */
  readonly wakeAt: MonotonicMs
}
