import type { JobOrder } from './core/ledger.ts'
import type { CronText } from './cron.ts'

/** Something that the leader's agent does by itself: a command of Holdfast, when its moment comes or when it is needed. */
export interface Job {
  /** As in the configuration: `backup`, `expire`, `dump`, `verify`, `keyTest`. */
  readonly name: string
  readonly schedule: JobSchedule | null
  /** Who runs it when its moment comes. */
  readonly runBy: 'agent' | 'system'
  /** The repository for which a first run, and one after each gap, is wanted at once; null: none is. */
  readonly firstFor: string | null
  /** Whether it is run after each backup. */
  readonly followsBackup: boolean
  /** The command and its options. */
  readonly arguments: (order: JobOrder) => readonly string[]
  /** The bytes that the command's JSON document speaks of. */
  readonly sizeOf: (document: unknown) => number | null
}

export interface JobSchedule extends CronText {
  readonly jitterMs: number
  readonly makeUpWithinMs: number
}
