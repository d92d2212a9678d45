import type { PageMap } from '../../repository/core/page-map.ts'

const maxRuns = 16_384
const maxChangedShare = 0.4

/**
 * True for a file whose map has become so scattered that the next backup should copy it whole: it has more than 16 k
 * runs, or more than 40 % of what was last copied whole was changed since. `backupOf` names the backup that wrote a
 * pack. The oldest backup that a map refers to is the one that copied the file whole.
 */
export function isFragmented(map: PageMap, backupOf: (pack: number) => string): boolean {
  if (map.length > maxRuns) return true
  const backups = map.map((run) => backupOf(run.pack))
  const oldest = backups.reduce((first, each) => (each < first ? each : first), backups[0] ?? '')
  const base = map.filter((_, index) => backups[index] === oldest)
  const last = base.at(-1)
  if (last === undefined) return false
  const pageCount = last.startPage + last.count
  const unchanged = base.reduce((sum, run) => sum + run.count, 0)
  return (pageCount - unchanged) / pageCount > maxChangedShare
}
