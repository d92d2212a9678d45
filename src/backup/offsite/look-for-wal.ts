import {
  historyObject,
  parseTailName,
  parseWalName,
  segmentNameAt,
  segmentObject,
  segmentStart,
  tailsPrefix,
  walPrefix,
} from '../../repository/core/object-names.ts'
import type { StoreOptions } from '../../store/object-store.ts'
import type { ObjectStore } from '../../store/object-store.ts'
import type { Lsn, TimelineId } from '../../wal/core/lsn.ts'
import type { CopyItem, CopyView } from './core/plan-copy.ts'

/** Where the WAL of the first repository ended when it was last looked at. */
export interface WalFront {
  readonly timeline: TimelineId
  /** Where the segment begins that will come next; undefined while none has come. */
  readonly nextLsn: Lsn | undefined
}

export interface NewWal {
  readonly items: readonly CopyItem[]
  readonly front: WalFront
  /** Something came that is not the continuation of what is known: a look at everything is due. */
  readonly turned: boolean
}

/** Where the WAL of a view ends: on its newest timeline. */
export function walFrontOf({ cluster, first, walSegmentBytes }: CopyView): WalFront {
  let front: WalFront = { timeline: 1 as TimelineId, nextLsn: undefined }
  if (walSegmentBytes === undefined) return front
  for (const key of first.keys()) {
    const name = key.startsWith(walPrefix(cluster)) ? parseWalName(key.slice(walPrefix(cluster).length)) : undefined
    const tail = key.startsWith(tailsPrefix(cluster))
      ? parseTailName(key.slice(tailsPrefix(cluster).length))
      : undefined
    const timeline = name?.timeline ?? tail?.timeline
    if (timeline === undefined || timeline < front.timeline) continue
    if (timeline > front.timeline) front = { timeline, nextLsn: undefined }
    if (name?.kind !== 'segment') continue
    const nextLsn = (segmentStart(name.name, walSegmentBytes) + BigInt(walSegmentBytes)) as Lsn
    if (front.nextLsn === undefined || nextLsn > front.nextLsn) front = { timeline, nextLsn }
  }
  return front
}

/**
 * What WAL came since the last look, with a few requests however much WAL is stored: tails are few, and of segments only
 * the next ones are asked for.
 */
export async function lookForWal(
  store: ObjectStore,
  view: CopyView,
  front: WalFront,
  options: StoreOptions = {},
): Promise<NewWal> {
  const { cluster, walSegmentBytes } = view
  if (walSegmentBytes === undefined) return { items: [], front, turned: true }
  const tails: CopyItem[] = []
  let turned = (await store.size(historyObject(cluster, (front.timeline + 1) as TimelineId), options)) !== undefined
  let furthest = front.nextLsn
  const prefix = tailsPrefix(cluster)
  for await (const { key, sizeBytes } of store.list(prefix, options)) {
    const tail = parseTailName(key.slice(prefix.length))
    if (tail === undefined) continue
    tails.push({ key, sizeBytes })
    if (tail.timeline > front.timeline) turned = true
    if (tail.timeline !== front.timeline) continue
    const startLsn = (tail.startLsn - (tail.startLsn % BigInt(walSegmentBytes))) as Lsn
    if (furthest === undefined || startLsn > furthest) furthest = startLsn
  }
  const segments: CopyItem[] = []
  let nextLsn = front.nextLsn ?? furthest
  while (nextLsn !== undefined) {
    const key = segmentObject(cluster, segmentNameAt(front.timeline, nextLsn, walSegmentBytes))
    const sizeBytes = await store.size(key, options)
    if (sizeBytes === undefined) break
    segments.push({ key, sizeBytes })
    nextLsn = (nextLsn + BigInt(walSegmentBytes)) as Lsn
  }
  // Tails beyond a segment that is not there: it came while we looked, or there is a hole.
  if (furthest !== undefined && nextLsn !== undefined && furthest > nextLsn) {
    turned = true
    nextLsn = furthest
  }
  return { items: [...segments, ...tails], front: { timeline: front.timeline, nextLsn }, turned }
}
