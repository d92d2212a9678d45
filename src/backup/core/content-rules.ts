import { parseRelationFile } from './relation-file.ts'

/**
 * What belongs into a physical backup. The lists are those of `src/backend/backup/basebackup.c` (PostgreSQL 15 to 18:
 * `excludeDirContents`, `excludeFiles`, `sendDir`), applied to exact places where PostgreSQL itself uses a name, so
 * that a file that is merely called alike is kept. Added, as pgBackRest does: the signal files and leftovers of an
 * earlier recovery, which would change how a restored copy starts.
 */
const emptiedDirectories: ReadonlySet<string> = new Set([
  'pg_dynshmem',
  'pg_notify',
  'pg_replslot',
  'pg_serial',
  'pg_snapshots',
  'pg_stat_tmp',
  'pg_subtrans',
  'pg_wal/archive_status',
  'pg_wal/summaries',
])

const excludedFiles: ReadonlySet<string> = new Set([
  'backup_label',
  'backup_label.old',
  'backup_manifest',
  'backup_manifest.tmp',
  'current_logfiles.tmp',
  'postgresql.auto.conf.tmp',
  'postmaster.opts',
  'postmaster.pid',
  'recovery.signal',
  'standby.signal',
  'tablespace_map',
  'tablespace_map.old',
])

const walSubdirectories: ReadonlySet<string> = new Set(['pg_wal/archive_status', 'pg_wal/summaries'])

/** Copied last, by itself, after every other file: on a standby its minimum recovery point is the backup's end. */
export const controlFilePath = 'global/pg_control'

/** Whether the directory at `path` is kept, kept but empty, or left out with all that is in it. */
export function directoryRule(path: string): 'keep' | 'keep-empty' | 'exclude' {
  if (isTemporaryPlace(path)) return 'exclude'
  if (emptiedDirectories.has(path)) return 'keep-empty'
  return path.startsWith('pg_wal/') && !walSubdirectories.has(path) ? 'exclude' : 'keep'
}

/** Whether the regular file at `path` belongs into the backup; unlogged relations are judged by {@link unloggedFilter}. */
export function keepsFile(path: string): boolean {
  if (excludedFiles.has(path) || path.startsWith('pg_wal/') || isTemporaryPlace(path)) return false
  if (parseRelationFile(path)?.temporary === true) return false
  const name = path.slice(path.lastIndexOf('/') + 1)
  return !(isInRelationTree(path) && name.startsWith('pg_internal.init'))
}

/**
 * Leaves out every fork but `init` of relations that have an init fork: those are unlogged, and PostgreSQL makes them
 * anew from the init fork when it starts. `paths` are all files found; gives the filter for them.
 */
export function unloggedFilter(paths: Iterable<string>): (path: string) => boolean {
  const unlogged = new Set<string>()
  for (const path of paths) {
    const file = parseRelationFile(path)
    if (file?.fork === 'init') unlogged.add(`${file.directory}/${file.relation}`)
  }
  return (path) => {
    const file = parseRelationFile(path)
    return file === undefined || file.fork === 'init' || !unlogged.has(`${file.directory}/${file.relation}`)
  }
}

/**
 * What it means when a listed file is gone at the moment it is opened: `dropped` is ordinary life (a dropped table, a
 * removed transaction log segment; replay knows of it), `essential` files never go away under a running server.
 */
export function vanishedFile(path: string): 'dropped' | 'essential' | 'essential-unless-database-dropped' {
  if (path === controlFilePath || path === 'PG_VERSION' || path === 'global/pg_filenode.map') return 'essential'
  const name = path.slice(path.lastIndexOf('/') + 1)
  return isInRelationTree(path) && (name === 'PG_VERSION' || name === 'pg_filenode.map')
    ? 'essential-unless-database-dropped'
    : 'dropped'
}

const relationTree = /^(?:global|base|pg_tblspc\/[^/]+\/PG_[^/]+)\//

function isInRelationTree(path: string): boolean {
  return relationTree.test(path)
}

/** `pgsql_tmp…` directories and files, which hold sorts and hashes of running queries. */
function isTemporaryPlace(path: string): boolean {
  const tree = relationTree.exec(path)?.[0]
  return (
    tree !== undefined &&
    path
      .slice(tree.length)
      .split('/')
      .some((part) => part.startsWith('pgsql_tmp'))
  )
}
