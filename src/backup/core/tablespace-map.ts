/**
 * The tablespaces that `tablespace_map` has: those there were when the backup began. One created later is made by
 * replay, which fails when its place is taken, so its files must not be in the backup. Each line is an oid, a space and
 * a path, in which line breaks and backslashes are escaped by a backslash.
 */
export function mappedTablespaces(tablespaceMap: string): ReadonlySet<number> {
  const lines = tablespaceMap.replaceAll(/\\[\s\S]/g, '').split('\n')
  return new Set(lines.flatMap((line) => /^(\d+) /.exec(line)?.[1] ?? []).map(Number))
}

/** The tablespace whose files are below `pg_tblspc/<oid>`, undefined for any other path. */
export function tablespaceOf(path: string): number | undefined {
  const oid = /^pg_tblspc\/(\d+)(?:\/|$)/.exec(path)?.[1]
  return oid === undefined ? undefined : Number(oid)
}
