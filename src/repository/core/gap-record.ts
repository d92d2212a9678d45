import type { EpochMs } from '../../std/clock.ts'
import { formatLsn, type Lsn, type TimelineId } from '../../wal/core/lsn.ts'
import { fieldsOf } from './json-fields.ts'
import type { TailName } from './object-names.ts'

/** WAL that is lost to a repository: no server had it any more when the archive wanted it. */
export interface GapRecord {
  /** The same for the same range, however often it is found out. */
  readonly id: string
  /** On which the WAL goes on behind the gap. */
  readonly timeline: TimelineId
  /** On which the stored WAL ends before it; an older one when the server has changed its timeline within the gap. */
  readonly fromTimeline: TimelineId
  readonly startLsn: Lsn
  /** Exclusive. */
  readonly endLsn: Lsn
  /** Null when the record cannot be read. */
  readonly foundAt: EpochMs | null
  readonly because: string
}

export function gapToJson(gap: Omit<GapRecord, 'id'>): Record<string, unknown> {
  return {
    timeline: gap.timeline,
    fromTimeline: gap.fromTimeline,
    startLsn: formatLsn(gap.startLsn),
    endLsn: formatLsn(gap.endLsn),
    foundAt: gap.foundAt === null ? null : new Date(gap.foundAt).toISOString(),
    because: gap.because,
  }
}

export function gapFromJson(id: string, value: unknown): GapRecord {
  const fields = fieldsOf(value, 'gap')
  return {
    id,
    timeline: fields.integer('timeline', 1) as TimelineId,
    fromTimeline: fields.integer('fromTimeline', 1) as TimelineId,
    startLsn: fields.lsn('startLsn'),
    endLsn: fields.lsn('endLsn'),
    foundAt: fields.time('foundAt'),
    because: fields.text('because'),
  }
}

/** What the name alone tells, when the record itself cannot be read: a hole that is forgotten would be worse. */
export function gapFromName(id: string, { timeline, startLsn, endLsn }: TailName): GapRecord {
  const because = 'its record cannot be read'
  return { id, timeline, fromTimeline: timeline, startLsn, endLsn, foundAt: null, because }
}

/** A piece of WAL lies in a gap, on either of its timelines. */
export function isInGap(gap: GapRecord, timeline: TimelineId, lsn: Lsn): boolean {
  const concerns = timeline >= gap.fromTimeline && timeline <= gap.timeline
  return concerns && gap.startLsn <= lsn && lsn < gap.endLsn
}
