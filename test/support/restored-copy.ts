import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { ConnectionTarget } from '../../src/postgres/connection-target.ts'
import type { Installation } from '../../src/postgres/installation.ts'
import { writePassFile } from '../../src/postgres/pass-file.ts'
import { programEnvironment } from '../../src/postgres/program-environment.ts'
import { startServer } from '../../src/postgres/server.ts'
import { withSql } from '../../src/postgres/sql.ts'
import { runProgram } from '../../src/std/run-program.ts'

/** A restored directory that was started for a look; it reaches nobody. */
export interface RestoredCopy {
  readonly installation: Installation
  readonly target: ConnectionTarget
  /** A directory of the test's own, gone afterwards. */
  readonly scratch: string
}

const deadlineMs = 300_000

/** Starts a restored directory for as long as `look` takes; `superuser` says who may connect to it. */
export async function withRestoredCopy<Result>(
  installation: Installation,
  directory: string,
  superuser: ConnectionTarget,
  look: (copy: RestoredCopy) => Promise<Result>,
): Promise<Result> {
  const scratch = await mkdtemp(join(tmpdir(), 'hf-c-'))
  try {
    await using _server = await startServer(installation, directory, {
      logFile: join(scratch, 'postgres.log'),
      parameters: { unix_socket_directories: scratch },
    })
    return await look({ installation, target: { ...superuser, host: scratch, port: 5432 }, scratch })
  } finally {
    await rm(scratch, { recursive: true, force: true })
  }
}

/** Reads every page of a stopped directory and verifies its checksum; false where there is no tool for it. */
export async function checkPages(installation: Installation, directory: string): Promise<boolean> {
  const { pgChecksums } = installation.tools
  if (pgChecksums === undefined) return false
  const environment = programEnvironment(installation)
  const { stdout } = await runProgram(pgChecksums, ['--check', '--pgdata', directory], { environment, deadlineMs })
  assert.match(stdout, /^Bad checksums: +0$/m)
  return true
}

/**
 * Verifies that every table is sound and that every B-tree index is too and knows every row of its table: with
 * `pg_amcheck` where it exists, else with the functions that it calls. Creates an extension in the copy.
 */
export async function checkTablesAndIndexes(copy: RestoredCopy): Promise<void> {
  if (copy.installation.tools.pgAmcheck === undefined) await checkBySql(copy)
  else await checkByTool(copy, copy.installation.tools.pgAmcheck)
}

async function checkByTool({ installation, target, scratch }: RestoredCopy, pgAmcheck: string): Promise<void> {
  const passFile = join(scratch, 'pgpass')
  await writePassFile(passFile, [
    { entry: { host: '*', port: '*' as const, database: '*', user: target.user }, password: target.password },
  ])
  const server = [`--host=${target.host}`, `--port=${target.port}`, `--username=${target.user}`, '--no-password']
  const work = ['--all', '--install-missing', '--heapallindexed', '--jobs=2']
  await runProgram(pgAmcheck, [...server, ...work], {
    environment: programEnvironment(installation, { PGPASSFILE: passFile }),
    deadlineMs,
  })
}

async function checkBySql({ target }: RestoredCopy): Promise<void> {
  await withSql(target, { statementTimeoutMs: deadlineMs }, async (sql) => {
    await sql.query('create extension amcheck')
    const unsound = await sql.query(
      `select c.oid::regclass::text as relation, v.* from pg_class c, lateral verify_heapam(c.oid) v
       where c.relkind in ('r', 't', 'm') and c.relpersistence = 'p'`,
    )
    assert.deepEqual(unsound, [])
    // It fails at the first index that is unsound.
    const [checked] = await sql.query<{ indexes: number }>(
      `select count(bt_index_check(c.oid, true)::text)::int as indexes from pg_class c
       join pg_index i on i.indexrelid = c.oid join pg_am am on am.oid = c.relam
       where am.amname = 'btree' and c.relkind = 'i' and c.relpersistence = 'p' and i.indisready and i.indisvalid`,
    )
    assert.ok(checked !== undefined && checked.indexes > 100, `only ${checked?.indexes} indexes were checked`)
  })
}
