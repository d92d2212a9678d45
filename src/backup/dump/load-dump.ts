import { randomBytes } from 'node:crypto'
import type { ConnectionTarget } from '../../postgres/connection-target.ts'
import { quoteConninfoValue, quoteIdentifier } from '../../postgres/core/quoting.ts'
import type { Installation } from '../../postgres/installation.ts'
import { withSql } from '../../postgres/sql.ts'
import type { Sql } from '../../postgres/sql.ts'
import { Fault } from '../../std/fault.ts'
import { chooseTool, openClientLogin, readServerVersion } from './client-tools.ts'
import { countTables, isEmptyDatabase } from './database-facts.ts'
import { dumpFaults } from './faults.ts'
import type { InspectedDump } from './inspect-dump.ts'
import { psqlFlags } from './load-globals.ts'
import { ProgramFailed, feedProgram } from './stream-program.ts'

export interface LoadRequest {
  readonly dump: InspectedDump
  /** A superuser's connection to any database of a primary. */
  readonly target: ConnectionTarget
  readonly installations: readonly Installation[]
  /** Undefined: a scratch database, dropped again when the dump proved to load. */
  readonly into: string | undefined
  /** Make the database; else it must be there and empty. */
  readonly create: boolean
}

export interface LoadResult {
  /** Null when it was a scratch database. */
  readonly database: string | null
  readonly tables: number
  /** What the record beside the dump says; null without one. */
  readonly expectedTables: number | null
  readonly databaseBytes: number
}

/**
 * Loads a dump into a database that is empty or made for it. When anything fails the database is as before: one that was
 * made is dropped, and into one that was there the dump goes in a single transaction.
 */
export async function loadDump(request: LoadRequest, signal?: AbortSignal): Promise<LoadResult> {
  const { target, into } = request
  const database = into ?? `holdfast_load_${randomBytes(6).toString('hex')}`
  return await withSql(target, {}, async (sql) => {
    const { major } = await readServerVersion(sql)
    const makes = into === undefined || request.create
    await prepareDatabase(sql, database, makes, target)
    const drop = (): Promise<unknown> => sql.query(`DROP DATABASE IF EXISTS ${quoteIdentifier(database)} WITH (FORCE)`)
    try {
      signal?.throwIfAborted()
      await runLoader(request, database, major, makes ? [] : ['--single-transaction'], signal)
      return await withSql({ ...target, database }, { signal }, async (loaded) => ({
        database: into ?? null,
        tables: await countTables(loaded),
        expectedTables: request.dump.source.record?.tables ?? null,
        databaseBytes: await sizeOf(loaded),
      }))
    } catch (error) {
      // When the server is gone as well, the first error says it better.
      if (makes && into !== undefined) await drop().catch(() => undefined)
      throw error
    } finally {
      if (into === undefined) await drop().catch(() => undefined)
    }
  })
}

async function prepareDatabase(sql: Sql, database: string, makes: boolean, target: ConnectionTarget): Promise<void> {
  const found = await sql.query('select from pg_database where datname = $1', [database])
  const details = { database }
  if (makes && found.length > 0) {
    const message = `Cannot create database ${database} to load into: it exists`
    throw new Fault(dumpFaults['dump-target-occupied'], message, { details })
  }
  if (makes) {
    await sql.query(`CREATE DATABASE ${quoteIdentifier(database)} TEMPLATE template0`)
    return
  }
  if (found.length === 0) {
    const message = `Cannot load into database ${database}: it does not exist`
    throw new Fault(dumpFaults['dump-target-missing'], message, { details })
  }
  if (await withSql({ ...target, database }, {}, isEmptyDatabase)) return
  const message = `Cannot load into database ${database}: it is not empty`
  throw new Fault(dumpFaults['dump-target-occupied'], message, { details })
}

async function runLoader(
  { dump, target, installations }: LoadRequest,
  database: string,
  major: number,
  more: readonly string[],
  signal: AbortSignal | undefined,
): Promise<void> {
  const tool = chooseTool(installations, dump.content === 'custom' ? 'pgRestore' : 'psql', major)
  const restoreFlags = ['--format=custom', '--exit-on-error', '--no-tablespaces', '--no-password']
  const flags =
    dump.content === 'custom'
      ? [...restoreFlags, `--dbname=dbname=${quoteConninfoValue(database)}`, ...more]
      : [...psqlFlags, ...more]
  await using login = await openClientLogin(tool, { ...target, database })
  try {
    await feedProgram(tool.path, flags, login, dump.open(signal), signal)
  } catch (error) {
    if (!(error instanceof ProgramFailed)) throw error
    const message = `Cannot load ${dump.source.name} into ${database} with ${tool.path}: ${error.message}`
    throw new Fault(dumpFaults['dump-load-failed'], message, { cause: error, details: { database } })
  }
}

async function sizeOf(sql: Sql): Promise<number> {
  const [row] = await sql.query<{ bytes: string }>('select pg_database_size(current_database()) as bytes')
  return Number(row?.bytes)
}
