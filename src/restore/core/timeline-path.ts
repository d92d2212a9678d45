import type { TimelineId } from '../../wal/core/lsn.ts'
import { firstTimelineHistory, timelinePath } from '../../wal/core/timeline-history.ts'
import type { TimelineStretch } from '../../wal/core/timeline-history.ts'
import type { Catalogue, CatalogueBackup } from './catalogue.ts'

/** The way to the end of a timeline, oldest first; undefined when its history is not known. */
export function pathTo(catalogue: Catalogue, timeline: TimelineId): readonly TimelineStretch[] | undefined {
  const known = catalogue.timelines.find((candidate) => candidate.timeline === timeline)
  const history = known?.history ?? (timeline === 1 ? firstTimelineHistory() : undefined)
  return history === undefined ? undefined : timelinePath(history)
}

/** Every timeline that a catalogue knows anything about, newest first. */
export function knownTimelines(catalogue: Catalogue): readonly TimelineId[] {
  const all = [...catalogue.timelines.map((entry) => entry.timeline), ...catalogue.backups.map((b) => b.timeline)]
  return [...new Set(all)].toSorted((left, right) => right - left)
}

/** Whether recovery that starts from this backup can follow this path: it ended before its timeline was left. */
export function isOnPath(backup: CatalogueBackup, path: readonly TimelineStretch[]): boolean {
  const stretch = path.find((candidate) => candidate.timeline === backup.timeline)
  if (stretch === undefined) return false
  return backup.startLsn >= stretch.startLsn && (stretch.endLsn === undefined || backup.stopLsn <= stretch.endLsn)
}
