import { formatLsn, type Lsn, type TimelineId } from '../../wal/core/lsn.ts'
import { fieldsOf } from './json-fields.ts'

/** What a collection announces before it removes anything. */
export interface CollectionNote {
  readonly collection: string
  /** Backups, listed ones and dead ones, that nobody may build on any more. */
  readonly backups: readonly string[]
  readonly wal: readonly AnnouncedWal[]
  /** Backups that are listed no more, or never were in this place, of which packs may be left that go. */
  readonly leftovers: readonly string[]
}

export interface AnnouncedWal {
  readonly timeline: TimelineId
  readonly startLsn: Lsn
  /** Exclusive. */
  readonly endLsn: Lsn
}

export function collectionToJson({ collection, backups, wal, leftovers }: CollectionNote): Record<string, unknown> {
  return {
    collection,
    backups,
    wal: wal.map(({ timeline, startLsn, endLsn }) => {
      return { timeline, startLsn: formatLsn(startLsn), endLsn: formatLsn(endLsn) }
    }),
    leftovers,
  }
}

export function collectionFromJson(value: unknown): CollectionNote {
  const fields = fieldsOf(value, 'collection')
  return {
    collection: fields.text('collection'),
    backups: fields.textList('backups'),
    wal: fields.objects('wal').map((range) => ({
      timeline: range.integer('timeline', 1) as TimelineId,
      startLsn: range.lsn('startLsn'),
      endLsn: range.lsn('endLsn'),
    })),
    leftovers: fields.optionalTextList('leftovers'),
  }
}
