import type { ConnectionTarget } from '../../postgres/connection-target.ts'
import type { Installation } from '../../postgres/installation.ts'
import { programEnvironment } from '../../postgres/program-environment.ts'
import { withSql } from '../../postgres/sql.ts'
import { Fault, isFault } from '../../std/fault.ts'
import { stdFaults } from '../../std/faults.ts'
import { lastLines, runProgramToEnd } from '../../std/run-program.ts'
import { meets, parseExpectation } from './core/expectation.ts'
import type { Examination, Seen } from './examination.ts'

/** A query of the configuration and what its first value is to be. */
export interface SqlCheck {
  readonly name: string
  readonly database: string
  readonly query: string
  readonly expect: string
}

export interface CopyCheckOptions {
  readonly signal?: AbortSignal | undefined
  /** The longest that one statement may take. */
  readonly statementMs: number
}

/** No index answers for the table, and nothing is written. */
const session = `SET default_transaction_read_only = on; SET enable_indexscan = off; SET enable_indexonlyscan = off;
  SET enable_bitmapscan = off`

/** Databases that accept connections. */
export async function listDatabases(
  connection: ConnectionTarget,
  { signal }: CopyCheckOptions,
): Promise<readonly string[]> {
  return await withSql(connection, { signal }, async (sql) => {
    const rows = await sql.query<{ name: string }>(
      'SELECT datname AS name FROM pg_database WHERE datallowconn ORDER BY datname',
    )
    return rows.map(({ name }) => name)
  })
}

/** More relations than this are not named; their files are. */
const mostNamed = 200_000

/** Names of relations by the path of their first file, for naming what is damaged. */
export async function nameRelations(
  connection: ConnectionTarget,
  databases: readonly string[],
  { signal }: CopyCheckOptions,
): Promise<ReadonlyMap<string, string>> {
  const names = new Map<string, string>()
  for (const database of databases) {
    try {
      await withSql({ ...connection, database }, { signal }, async (sql) => {
        const rows = await sql.query<{ path: string | null; name: string }>(
          `SELECT pg_relation_filepath(c.oid) AS path, format('%I.%I', n.nspname, c.relname) AS name
           FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
           WHERE c.relkind IN ('r', 'i', 't', 'm', 'S') LIMIT $1`,
          [mostNamed],
        )
        for (const { path, name } of rows) {
          if (path !== null && names.size < mostNamed)
            names.set(path, path.startsWith('global/') ? name : `${database}: ${name}`)
        }
      })
    } catch (error) {
      signal?.throwIfAborted()
      // A catalogue may be what is damaged; then the file alone is named.
      if (!(error instanceof Fault)) throw error
    }
  }
  return names
}

/** L4: every database lets in, and every table of its catalogue reads from its first page to its last. */
export async function checkDatabases(
  connection: ConnectionTarget,
  databases: readonly string[],
  examination: Examination,
  { signal, statementMs }: CopyCheckOptions,
): Promise<void> {
  await examination.check(4, 'databases and catalogues', async () => {
    let bad = 0
    let tables = 0
    for (const database of databases) {
      const broken = await attempt(signal, () =>
        withSql({ ...connection, database }, { signal, statementTimeoutMs: statementMs }, async (sql) => {
          await sql.query(session)
          const rows = await sql.query<{ name: string }>(
            `SELECT oid::regclass::text AS name FROM pg_class
             WHERE relnamespace = 'pg_catalog'::regnamespace AND relkind = 'r' ORDER BY 1`,
          )
          for (const { name } of rows) await sql.query(`SELECT count(*) FROM ${name}`)
          tables += rows.length
        }),
      )
      if (broken === undefined) continue
      bad += 1
      examination.find({ level: 4, message: `database ${database}: ${broken.message}` })
    }
    if (bad > 0) return { outcome: 'failed', text: `${bad} of ${databases.length} databases do not open or read` }
    return {
      outcome: 'passed',
      text: `${databases.length} databases (${databases.join(', ')}), ${tables} catalogue tables read`,
    }
  })
}

interface LargeTable {
  readonly database: string
  readonly name: string
  readonly sizeBytes: bigint
  /** What the statistics say; negative when they say nothing. */
  readonly estimate: number
}

/** Below it the statistics say too little. */
const leastEstimate = 1000

/** L4: the largest tables read from their first row to their last, with about as many rows as their statistics say. */
export async function checkLargestTables(
  connection: ConnectionTarget,
  { databases, count }: { readonly databases: readonly string[]; readonly count: number },
  examination: Examination,
  { signal, statementMs }: CopyCheckOptions,
): Promise<void> {
  await examination.check(4, 'largest tables', async (): Promise<Seen> => {
    if (count === 0) return { outcome: 'skipped', text: 'the configuration says so', needed: false }
    const tables: LargeTable[] = []
    for (const database of databases) {
      await attempt(
        signal,
        async () => void tables.push(...(await largestOf({ ...connection, database }, count, signal))),
      )
    }
    const chosen = tables.toSorted((a, b) => (a.sizeBytes > b.sizeBytes ? -1 : 1)).slice(0, count)
    if (chosen.length === 0) return { outcome: 'passed', text: 'there is no table but those of the catalogues' }
    const counted: string[] = []
    const doubts: string[] = []
    let bad = 0
    for (const { database, name, estimate } of chosen) {
      const broken = await attempt(signal, () =>
        withSql({ ...connection, database }, { signal, statementTimeoutMs: statementMs }, async (sql) => {
          await sql.query(session)
          const [row] = await sql.query<{ rows: string }>(`SELECT count(*) AS rows FROM ONLY ${name}`)
          const rows = Number(row?.rows ?? 0)
          counted.push(`${database}.${name} ${rows}`)
          if (estimate >= leastEstimate && rows < estimate / 10) {
            doubts.push(`${database}.${name} has ${rows} rows, and its statistics say ${Math.round(estimate)}`)
          }
        }),
      )
      if (broken === undefined) continue
      bad += 1
      examination.find({ level: 4, message: `table ${name} of database ${database}: ${broken.message}` })
    }
    if (bad > 0) return { outcome: 'failed', text: `${bad} of the ${chosen.length} largest tables do not read` }
    if (doubts.length > 0) return { outcome: 'doubtful', text: doubts.join('; ') }
    return { outcome: 'passed', text: `rows: ${counted.join(', ')}` }
  })
}

async function largestOf(
  connection: ConnectionTarget,
  count: number,
  signal: AbortSignal | undefined,
): Promise<readonly LargeTable[]> {
  return await withSql(connection, { signal }, async (sql) => {
    const rows = await sql.query<{ name: string; size: string; estimate: number }>(
      `SELECT format('%I.%I', n.nspname, c.relname) AS name, pg_table_size(c.oid)::text AS size, c.reltuples AS estimate
       FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
       WHERE c.relkind IN ('r', 'm') AND c.relpersistence = 'p' AND n.nspname NOT IN ('pg_catalog', 'information_schema')
       ORDER BY pg_table_size(c.oid) DESC, 1 LIMIT $1`,
      [count],
    )
    return rows.map(({ name, size, estimate }) => ({
      database: connection.database,
      name,
      sizeBytes: BigInt(size),
      estimate,
    }))
  })
}

/** L4: the queries of the configuration, each a check of its own. */
export async function checkQueries(
  connection: ConnectionTarget,
  checks: readonly SqlCheck[],
  examination: Examination,
  { signal, statementMs }: CopyCheckOptions,
): Promise<void> {
  for (const { name, database, query, expect } of checks) {
    await examination.check(4, `query ${name}`, async () => {
      let found: string | null = null
      const broken = await attempt(signal, () =>
        withSql({ ...connection, database }, { signal, statementTimeoutMs: statementMs }, async (sql) => {
          await sql.query('SET default_transaction_read_only = on')
          const [row] = await sql.query(query)
          const value = row === undefined ? null : Object.values(row)[0]
          found = value === null || value === undefined ? null : asText(value)
        }),
      )
      const text = broken?.message ?? `gave ${found === null ? 'nothing' : found}, expected ${expect}`
      const good = broken === undefined && meets(found, parseExpectation(expect))
      if (!good) examination.find({ level: 4, message: `query ${name} in database ${database}: ${text}` })
      return { outcome: good ? 'passed' : 'failed', text }
    })
  }
}

function asText(value: object | string | number | boolean | bigint): string {
  if (value instanceof Date) return value.toISOString()
  return typeof value === 'string' ? value : JSON.stringify(value)
}

/**
 * L3, where `pg_amcheck` is installed: tables and B-tree indexes are sound, by the server's own means. It installs the
 * extension into the copy.
 */
export async function checkByAmcheck(
  connection: ConnectionTarget,
  installation: Installation,
  examination: Examination,
  { signal, deadlineMs }: { readonly signal?: AbortSignal | undefined; readonly deadlineMs: number },
): Promise<void> {
  await examination.check(3, 'pg_amcheck', async (): Promise<Seen> => {
    const { pgAmcheck } = installation.tools
    if (pgAmcheck === undefined) {
      const text = `${installation.version} in ${installation.binDirectory} comes without pg_amcheck`
      return { outcome: 'skipped', text, needed: false }
    }
    const where = [`--host=${connection.host}`, `--port=${connection.port}`, `--username=${connection.user}`]
    const work = ['--no-password', '--all', '--install-missing', '--jobs=2']
    try {
      const { exitCode, stdout, stderr } = await runProgramToEnd(pgAmcheck, [...where, ...work], {
        environment: programEnvironment(installation),
        deadlineMs,
        signal,
      })
      if (exitCode === 0) return { outcome: 'passed', text: 'every table and B-tree index of every database' }
      if (exitCode !== 2)
        return { outcome: 'skipped', text: `it could not run: ${lastLines(stderr, 2)}`, needed: false }
      const said = lastLines(stdout, 6)
      examination.find({ level: 3, message: said })
      return { outcome: 'failed', text: said }
    } catch (error) {
      if (!isFault(error, stdFaults['deadline-passed'])) throw error
      return { outcome: 'skipped', text: `it did not end within ${Math.round(deadlineMs / 60_000)} min`, needed: false }
    }
  })
}

/** The fault that a piece of work failed with; an interruption passes through. */
async function attempt(signal: AbortSignal | undefined, work: () => Promise<unknown>): Promise<Fault | undefined> {
  try {
    await work()
    return undefined
  } catch (error) {
    signal?.throwIfAborted()
    if (error instanceof Fault) return error
    throw error
  }
}
