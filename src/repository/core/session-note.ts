import type { EpochMs } from '../../std/clock.ts'
import { fieldsOf } from './json-fields.ts'

/** What a session object says of a backup that is being taken. */
export interface SessionNote {
  readonly backup: string
  readonly parent: string | null
  readonly beganAt: EpochMs
}

export function sessionFromJson(value: unknown): SessionNote {
  const fields = fieldsOf(value, 'session')
  return { backup: fields.text('backup'), parent: fields.optionalText('parent'), beganAt: fields.time('beganAt') }
}
