import type { Lsn, TimelineId } from '../../wal/core/lsn.ts'
import type { Catalogue, CatalogueBackup } from './catalogue.ts'
import { isOnPath, knownTimelines, pathTo } from './timeline-path.ts'
import { walkWal } from './wal-walk.ts'
import type { WalGap } from './wal-walk.ts'

/** A stretch within which every moment can be restored, from the end of a backup to where the WAL behind it ends. */
export interface RestoreWindow {
  readonly timeline: TimelineId
  /** The first backup of the stretch. */
  readonly from: CatalogueBackup
  readonly toLsn: Lsn
  /** The timeline that the last byte is of. */
  readonly endTimeline: TimelineId
  /** Why it ends there; undefined at the end of the archive. */
  readonly gap: WalGap | undefined
}

/**
 * What can be restored on the way to each timeline, newest timeline first, in the order of the WAL. Between two stretches of
 * one timeline lies what can not. A timeline whose history is missing has none.
 */
export function restoreWindows(catalogue: Catalogue): readonly RestoreWindow[] {
  return knownTimelines(catalogue).flatMap((timeline) => {
    const path = pathTo(catalogue, timeline)
    if (path === undefined) return []
    const windows: RestoreWindow[] = []
    for (const backup of catalogue.backups.filter((candidate) => isOnPath(candidate, path)).toSorted(byPlace)) {
      const way = path.slice(path.findIndex((stretch) => stretch.timeline === backup.timeline))
      const walk = walkWal(catalogue, way, backup.startLsn)
      // Without its own WAL to the end it cannot be restored at all.
      if (walk.endLsn < backup.stopLsn || windows.some(({ toLsn }) => toLsn === walk.endLsn)) continue
      const endTimeline = walk.pieces.at(-1)?.timeline ?? backup.timeline
      windows.push({ timeline, from: backup, toLsn: walk.endLsn, endTimeline, gap: walk.gap })
    }
    return windows
  })
}

function byPlace(left: CatalogueBackup, right: CatalogueBackup): number {
  return left.timeline - right.timeline || (left.stopLsn < right.stopLsn ? -1 : 1)
}
