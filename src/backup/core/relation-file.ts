/**
 * What a file of the data directory says by its name. PostgreSQL keeps relations in `global/`, `base/<database>/` and
 * `pg_tblspc/<tablespace>/<version>/<database>/`, one or more files a fork. Follows `parse_filename_for_nontemp_relation`
 * (`src/backend/storage/file/reinit.c`) and `looks_like_temp_rel_name` (`src/backend/storage/file/fd.c`): whole names,
 * never parts of them.
 */
export type Fork = 'main' | 'fsm' | 'vm' | 'init'

export interface RelationFile {
  /** The relation's directory, relative to the data directory: `base/16384`. */
  readonly directory: string
  readonly relation: number
  readonly fork: Fork
  /** 0 for the first file of a fork, then 1, 2, …; each but the last holds `blocks_per_segment` blocks. */
  readonly segment: number
  /** Of a backend's temporary table: `t<backend>_<relation>`. */
  readonly temporary: boolean
}

const directoryPattern = /^(?:global|base\/[1-9]\d*|pg_tblspc\/[1-9]\d*\/PG_[^/]+\/[1-9]\d*)$/
const namePattern =
  /^(?:(?<backend>t\d{1,10})_)?(?<relation>[1-9]\d{0,9})(?:_(?<fork>fsm|vm|init))?(?:\.(?<segment>[1-9]\d{0,9}))?$/
const forks: Readonly<Record<string, Fork>> = { fsm: 'fsm', vm: 'vm', init: 'init' }

/** The relation file at `path` (relative to the data directory, `/` between parts), or undefined when it is none. */
export function parseRelationFile(path: string): RelationFile | undefined {
  const slash = path.lastIndexOf('/')
  const directory = path.slice(0, Math.max(slash, 0))
  if (!directoryPattern.test(directory)) return undefined
  const groups = namePattern.exec(path.slice(slash + 1))?.groups
  if (groups === undefined) return undefined
  return {
    directory,
    relation: Number(groups['relation']),
    fork: forks[groups['fork'] ?? ''] ?? 'main',
    segment: Number(groups['segment'] ?? 0),
    temporary: groups['backend'] !== undefined,
  }
}

/** Number, within its fork, of the first block of this file: what the page checksum is mixed with. */
export function firstBlockOf(file: RelationFile, blocksPerSegment: number): number {
  return file.segment * blocksPerSegment
}
