/** What to do with a line of `pg_dumpall --globals-only`. */
export type GlobalsVerdict = 'run' | 'role-exists' | 'tablespace'

const rolePattern = /^(?:CREATE|ALTER) ROLE (?:"((?:[^"]|"")*)"|([a-z_][a-z0-9_$]*))(?: |;)/
const tablespacePattern =
  /^(CREATE TABLESPACE |ALTER TABLESPACE |(GRANT|REVOKE) .* ON TABLESPACE |COMMENT ON TABLESPACE )/

/**
 * Roles that are there stay as they are, their passwords most of all: Holdfast itself logs in with two of them.
 * Tablespaces are directories of a machine, which this one does not have.
 */
export function judgeGlobalsLine(line: string, present: ReadonlySet<string>): GlobalsVerdict {
  if (tablespacePattern.test(line)) return 'tablespace'
  const role = rolePattern.exec(line)
  const name = role?.[1]?.replaceAll('""', '"') ?? role?.[2]
  return name !== undefined && present.has(name) ? 'role-exists' : 'run'
}
