import type { EpochMs } from '../../std/clock.ts'
import { fieldsOf } from './json-fields.ts'

/** What a session object says of a backup that is being taken, or that did not come to its end. */
export interface SessionNote {
  readonly backup: string
  readonly parent: string | null
  readonly beganAt: EpochMs
  /** The node that it is taken from: a server has one backup at a time. */
  readonly node: string | null
  /** Backups that did not come to their end, whose packs it may use. */
  readonly takesOver: readonly string[]
}

export function sessionFromJson(value: unknown): SessionNote {
  const fields = fieldsOf(value, 'session')
  return {
    backup: fields.text('backup'),
    parent: fields.optionalText('parent'),
    beganAt: fields.time('beganAt'),
    node: fields.optionalText('node'),
    takesOver: fields.optionalTextList('takesOver'),
  }
}
