import type { Lsn, TimelineId } from '../../wal/core/lsn.ts'
import type { Catalogue, CatalogueBackup } from './catalogue.ts'

/** One stretch of the way through the timelines: this timeline's WAL counts from `beginLsn` up to `endLsn`. */
export interface PathEntry {
  readonly timeline: TimelineId
  readonly beginLsn: Lsn
  /** Where the next timeline forked off; undefined on the last one. */
  readonly endLsn: Lsn | undefined
}

/** The way to the end of a timeline, oldest first; undefined when its history is not known. */
export function timelinePath(catalogue: Catalogue, timeline: TimelineId): readonly PathEntry[] | undefined {
  const known = catalogue.timelines.find((candidate) => candidate.timeline === timeline)
  const ancestors = known?.ancestors ?? (timeline === 1 ? [] : undefined)
  if (ancestors === undefined) return undefined
  let beginLsn = 0n as Lsn
  const path: PathEntry[] = []
  for (const ancestor of ancestors) {
    path.push({ timeline: ancestor.timeline, beginLsn, endLsn: ancestor.endLsn })
    beginLsn = ancestor.endLsn
  }
  return [...path, { timeline, beginLsn, endLsn: undefined }]
}

/** Every timeline that a catalogue knows anything about, newest first. */
export function knownTimelines(catalogue: Catalogue): readonly TimelineId[] {
  const all = [...catalogue.timelines.map((entry) => entry.timeline), ...catalogue.backups.map((b) => b.timeline)]
  return [...new Set(all)].toSorted((left, right) => right - left)
}

/** Whether recovery that starts from this backup can follow this path: it ended before its timeline was left. */
export function isOnPath(backup: CatalogueBackup, path: readonly PathEntry[]): boolean {
  const entry = path.find((candidate) => candidate.timeline === backup.timeline)
  if (entry === undefined) return false
  return backup.startLsn >= entry.beginLsn && (entry.endLsn === undefined || backup.stopLsn <= entry.endLsn)
}
