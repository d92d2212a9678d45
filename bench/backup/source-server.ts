import { rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { writePassFile } from '../../src/postgres/pass-file.ts'
import { programEnvironment } from '../../src/postgres/program-environment.ts'
import type { Sql } from '../../src/postgres/sql.ts'
import { runProgram } from '../../src/std/run-program.ts'
import { createTestServer, testInstallations, type TestServer } from '../../test/support/postgres.ts'

/** How much data there is: pgbench at a scale (15 MB each), and random bytes that no compression makes smaller. */
export interface DataSize {
  readonly scale: number
  readonly randomMegabytes: number
}

/** The server that everybody backs up. */
export interface SourceServer extends AsyncDisposable {
  readonly server: TestServer
  /** For PostgreSQL's programs and whatever uses libpq: the passwords are in a file. */
  readonly environment: Readonly<Record<string, string>>
  /** What the server runs for each WAL segment from now on, with `$1` its path; undefined: nothing. */
  archiveWith(script: string | undefined): Promise<void>
  /** Changes one in a hundred rows, spread over the whole table; other rows with each call. */
  changeRows(): Promise<void>
  /**
   * Everything that was changed is in the files, and those are on disk: the next one measured pays for its own only. And
   * as much memory as the data takes is free and in use by nobody since a moment ago: a virtual machine may have to get
   * memory that it has not touched for long from its host page by page, which makes writing three times slower.
   */
  settle(): Promise<void>
}

const archiveScript = 'archive-with-pgbackrest.sh'
const deadlineMs = 1_800_000

export async function openSourceServer(
  size: DataSize,
  options: { readonly signal: AbortSignal },
): Promise<SourceServer> {
  await using stack = new AsyncDisposableStack()
  const installation = (await testInstallations()).find(({ tools }) => tools.pgbench !== undefined)
  if (installation === undefined) throw new Error('Cannot make the data: no installed PostgreSQL has pgbench')
  const parameters = {
    shared_buffers: '256MB',
    max_wal_size: '4GB',
    autovacuum: false,
    archive_mode: true,
    // PostgreSQL runs it in the data directory; pgBackRest wants to find its name in it.
    archive_command: `sh ../${archiveScript} %p`,
  }
  const server = stack.use(await createTestServer({ installation, durable: true, parameters }))
  const archiveWith = async (script: string | undefined): Promise<void> => {
    const file = join(server.directory, archiveScript)
    await writeFile(`${file}.new`, script ?? 'exit 0\n', { mode: 0o600 })
    await rename(`${file}.new`, file)
  }
  await archiveWith(undefined)
  const passFile = join(server.directory, 'pgpass')
  const anywhere = { host: '*', port: '*' as const, database: '*' }
  await writePassFile(passFile, [
    { entry: { ...anywhere, user: server.target.user }, password: server.target.password },
    { entry: { ...anywhere, user: server.replicationTarget.user }, password: server.replicationTarget.password },
  ])
  const environment = programEnvironment(installation, {
    PGPASSFILE: passFile,
    PGHOST: server.socketDirectory,
    PGPORT: String(server.port),
    PGUSER: server.target.user,
    PGDATABASE: server.target.database,
    HOME: server.directory,
    TMPDIR: server.directory,
  })
  const { signal } = options
  await runProgram(installation.tools.pgbench ?? '', ['--initialize', '--quiet', `--scale=${size.scale}`], {
    environment,
    deadlineMs,
    signal,
  })
  const sql = stack.use(await server.sql())
  await writeRandomBytes(sql, size.randomMegabytes)
  let changes = 0
  const [measured] = await sql.query<{ megabytes: number }>(
    'SELECT (sum(pg_database_size(oid)) / 1000000)::int AS megabytes FROM pg_database',
  )
  const warmMemory = async (): Promise<void> => {
    const file = join(server.directory, 'warm')
    const amount = [`of=${file}`, 'bs=1M', `count=${measured?.megabytes ?? 0}`]
    await runProgram('dd', ['if=/dev/zero', ...amount], { environment, deadlineMs, signal })
    await rm(file)
  }
  const owned = stack.move()
  return {
    server,
    environment,
    archiveWith,
    changeRows: async () => {
      await sql.query('UPDATE pgbench_accounts SET abalance = abalance + 1 WHERE hashint4(aid) % 100 = $1', [changes])
      changes += 1
    },
    settle: async () => {
      await sql.query('CHECKPOINT')
      await warmMemory()
      await runProgram('sync', [], { environment, deadlineMs, signal })
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}

/** Hashes of a counter are as good as random to any compressor, and the same in each run. */
async function writeRandomBytes(sql: Sql, megabytes: number): Promise<void> {
  await sql.query('CREATE TABLE random_bytes (id int, content bytea)')
  await sql.query('ALTER TABLE random_bytes ALTER content SET STORAGE EXTERNAL')
  await sql.query(
    `INSERT INTO random_bytes SELECT id, string_agg(sha512((id || ' ' || part)::bytea), ''::bytea)
     FROM generate_series(1, $1::int) id, generate_series(1, 30) part GROUP BY id`,
    [Math.ceil((megabytes * 1e6) / (30 * 64))],
  )
  await sql.query('VACUUM (FREEZE, ANALYZE)')
}
