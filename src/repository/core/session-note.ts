import type { EpochMs } from '../../std/clock.ts'
import { formatLsn, type Lsn, type TimelineId } from '../../wal/core/lsn.ts'
import { fieldsOf, type Fields } from './json-fields.ts'

/**
 * What a session object says of a backup that is being taken, that did not come to its end, or that is copied from another
 * repository.
 */
export interface SessionNote {
  readonly backup: string
  readonly parent: string | null
  readonly beganAt: EpochMs
  /** The node that it is taken from: a server has one backup at a time. */
  readonly node: string | null
  /** Backups that did not come to their end, whose packs it may use. */
  readonly takesOver: readonly string[]
  /** What a backup that is copied needs besides its own packs; null for one that is being taken. */
  readonly copy: CopyNeeds | null
}

export interface CopyNeeds {
  /** Keys of packs that it shares with other backups. */
  readonly packs: readonly string[]
  readonly timeline: TimelineId
  readonly startLsn: Lsn
  readonly stopLsn: Lsn
}

export function sessionFromJson(value: unknown): SessionNote {
  const fields = fieldsOf(value, 'session')
  const copy = fields.optionalObject('copy')
  return {
    backup: fields.text('backup'),
    parent: fields.optionalText('parent'),
    beganAt: fields.time('beganAt'),
    node: fields.optionalText('node'),
    takesOver: fields.optionalTextList('takesOver'),
    copy: copy === undefined ? null : copyNeedsFrom(copy),
  }
}

export function copyNeedsToJson({ packs, timeline, startLsn, stopLsn }: CopyNeeds): Readonly<Record<string, unknown>> {
  return { packs, timeline, startLsn: formatLsn(startLsn), stopLsn: formatLsn(stopLsn) }
}

function copyNeedsFrom(fields: Fields): CopyNeeds {
  return {
    packs: fields.textList('packs'),
    timeline: fields.integer('timeline', 1) as TimelineId,
    startLsn: fields.lsn('startLsn'),
    stopLsn: fields.lsn('stopLsn'),
  }
}
