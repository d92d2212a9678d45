import type { Tablespace } from '../../repository/core/manifest.ts'

/**
 * The tablespaces that `tablespace_map` has: those there were when the backup began, whether or not they were dropped
 * since. One created later is made by replay, which fails when its place is taken, so its files must not be in the
 * backup. A line is an oid, a space and a path; a backslash in it makes the next character, a line break too, part of
 * the path (`read_tablespace_map`, `src/backend/access/transam/xlogrecovery.c`).
 */
export function parseTablespaceMap(tablespaceMap: string): Tablespace[] {
  const lines = tablespaceMap.matchAll(/^(\d+) ((?:\\[\s\S]|[^\\\r\n])*)$/gm)
  return [...lines].map(([, oid, escaped = '']) => ({
    oid: Number(oid),
    location: escaped.replaceAll(/\\([\s\S])/g, '$1'),
  }))
}

/** The tablespace whose files are below `pg_tblspc/<oid>`, undefined for any other path. */
export function tablespaceOf(path: string): number | undefined {
  const oid = /^pg_tblspc\/(\d+)(?:\/|$)/.exec(path)?.[1]
  return oid === undefined ? undefined : Number(oid)
}
