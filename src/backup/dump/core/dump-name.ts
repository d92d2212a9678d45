/**
 * Names of dump files: `app-20261122T141702Z-602410cd.dump.gpg`. They sort by database and time, and every run has names of
 * its own.
 */
export interface DumpName {
  /** Undefined: the roles and other things that belong to no database. */
  readonly database: string | undefined
  /** Of the run that made it. */
  readonly run: string
  readonly content: DumpContent
}

/** `custom`: an archive for pg_restore. `plain`: SQL for psql. */
export type DumpContent = 'custom' | 'plain'

const plainName = /^[A-Za-z0-9_][A-Za-z0-9_-]{0,80}$/
const suffixes = { custom: '.dump.gpg', plain: '.sql.gpg' } as const
const dumpFile = /^[A-Za-z0-9_][A-Za-z0-9_-]*-\d{8}T\d{6}Z-[0-9a-f]{8}\.(dump|sql)\.gpg$/

/** `tell` gives some hexadecimal digits that tell databases apart whose names cannot be file names. */
export function dumpFileName(name: DumpName, tell: (database: string) => string): string {
  return `${stem(name.database, tell)}-${name.run}${suffixes[name.content]}`
}

export function isDumpFileName(text: string): boolean {
  return dumpFile.test(text)
}

function stem(database: string | undefined, tell: (database: string) => string): string {
  if (database === undefined) return 'globals'
  if (plainName.test(database) && database !== 'globals') return database
  const legible = database.replaceAll(/[^A-Za-z0-9_-]/g, '_').replace(/^-/, '_')
  return `${legible.slice(0, 70)}-${tell(database)}`
}
