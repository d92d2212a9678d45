import { chooseTool, openClientLogin } from '../../backup/dump/client-tools.ts'
import type { ClientTool } from '../../backup/dump/client-tools.ts'
import { ProgramFailed, feedProgram, readProgram } from '../../backup/dump/stream-program.ts'
import type { ConnectionTarget } from '../../postgres/connection-target.ts'
import { quoteConninfoValue, quoteIdentifier, quoteLiteral } from '../../postgres/core/quoting.ts'
import type { Installation } from '../../postgres/installation.ts'
import { withSql } from '../../postgres/sql.ts'
import type { Sql } from '../../postgres/sql.ts'
import { restoreFaults } from '../../restore/faults.ts'
import { Fault } from '../../std/fault.ts'

export interface RescueTools {
  readonly dump: ClientTool
  readonly restore: ClientTool
}

/** Of a release that reads the copy. Throws `dump-tools-missing`. */
export function chooseRescueTools(installations: readonly Installation[], major: number): RescueTools {
  return { dump: chooseTool(installations, 'pgDump', major), restore: chooseTool(installations, 'pgRestore', major) }
}

/** Subscriptions would reach out to their publisher again; tablespaces may not be there. */
export const dumpFlags = [
  '--format=custom',
  '--no-password',
  '--no-publications',
  '--no-subscriptions',
  '--no-tablespaces',
]

export interface Loading {
  readonly from: ConnectionTarget
  /** What of the database is dumped, as flags of pg_dump. */
  readonly flags: readonly string[]
  /** A superuser's connection to the database that it is loaded into. */
  readonly into: ConnectionTarget
  readonly tools: RescueTools
  readonly signal: AbortSignal
}

/** Dumps from the copy and loads into the running server, in one transaction; nothing touches a disk on the way. */
export async function dumpInto({ from, flags, into, tools, signal }: Loading): Promise<void> {
  await using reading = await openClientLogin(tools.dump, from)
  await using writing = await openClientLogin(tools.restore, into)
  const content = readProgram(tools.dump.path, [...dumpFlags, ...flags], reading, signal)
  const database = `--dbname=dbname=${quoteConninfoValue(into.database)}`
  const words = [
    '--format=custom',
    '--exit-on-error',
    '--no-tablespaces',
    '--no-password',
    '--single-transaction',
    database,
  ]
  try {
    await feedProgram(tools.restore.path, words, writing, content, signal)
  } catch (error) {
    if (!(error instanceof ProgramFailed)) throw error
    const message = `Cannot load what was rescued into database ${into.database}: ${error.message}`
    throw new Fault(restoreFaults['restore-load-failed'], message, { cause: error })
  }
}

/** Makes an empty database with the encoding and collation of one in the copy. */
export async function createDatabaseLike(copy: Sql, server: Sql, like: string, name: string): Promise<void> {
  const [row] = await copy.query<Record<string, string | null>>(
    `select pg_encoding_to_char(encoding) as encoding, datcollate as collate, datctype as ctype,
     datlocprovider as provider, coalesce(to_jsonb(d)->>'datlocale', to_jsonb(d)->>'daticulocale') as locale
     from pg_database d where datname = $1`,
    [like],
  )
  const { encoding, collate, ctype, provider, locale } = row ?? {}
  const icu = provider === 'i' ? ` locale_provider icu icu_locale ${quoteLiteral(locale ?? '')}` : ''
  const builtin = provider === 'b' ? ` locale_provider builtin builtin_locale ${quoteLiteral(locale ?? '')}` : ''
  await server.query(
    `create database ${quoteIdentifier(name)} template template0 encoding ${quoteLiteral(encoding ?? 'UTF8')}
     lc_collate ${quoteLiteral(collate ?? 'C')} lc_ctype ${quoteLiteral(ctype ?? 'C')}${icu}${builtin}`,
  )
}

/** Throws `restore-name-taken` when the server has it already: what is rescued never goes over anything. */
export async function requireFree(target: ConnectionTarget, kind: 'database' | 'schema', name: string): Promise<void> {
  const query =
    kind === 'database' ? 'select from pg_database where datname = $1' : 'select from pg_namespace where nspname = $1'
  const found = await withSql(target, {}, (sql) => sql.query(query, [name]))
  if (found.length === 0) return
  throw new Fault(restoreFaults['restore-name-taken'], `Cannot load into ${kind} ${name}: it exists already`)
}
