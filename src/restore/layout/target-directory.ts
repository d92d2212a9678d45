/** Where a restore goes. */
export interface TargetDirectory {
  readonly path: string
  /** Where each tablespace goes, by its OID. */
  readonly tablespaces: ReadonlyMap<number, string>
}

/** The last file that a restore writes; without it PostgreSQL does not start. */
export const controlFile = 'global/pg_control'

/**
 * Directories that PostgreSQL expects and whose contents no backup has. Source: basebackup.c, excludeDirContents; the
 * WAL's own directories from sendDir.
 */
export const expectedDirectories: readonly string[] = [
  'global',
  'pg_commit_ts',
  'pg_dynshmem',
  'pg_logical',
  'pg_logical/mappings',
  'pg_logical/snapshots',
  'pg_multixact',
  'pg_notify',
  'pg_replslot',
  'pg_serial',
  'pg_snapshots',
  'pg_stat',
  'pg_stat_tmp',
  'pg_subtrans',
  'pg_tblspc',
  'pg_twophase',
  'pg_wal',
  'pg_wal/archive_status',
]
