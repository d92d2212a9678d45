import { spawnSync } from 'node:child_process'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { openDirectorySink } from '../../../src/backup/dump/directory-sink.ts'
import { openFileSource } from '../../../src/backup/dump/dump-source.ts'
import { inspectDump } from '../../../src/backup/dump/inspect-dump.ts'
import { loadDump } from '../../../src/backup/dump/load-dump.ts'
import type { LoadResult } from '../../../src/backup/dump/load-dump.ts'
import { takeDumps } from '../../../src/backup/dump/take-dumps.ts'
import type { DumpOptions, DumpOutcome, DumpRequest } from '../../../src/backup/dump/take-dumps.ts'
import type { DumpRecord } from '../../../src/backup/dump/core/dump-record.ts'
import type { Installation } from '../../../src/postgres/installation.ts'
import { withSql } from '../../../src/postgres/sql.ts'
import type { Sql } from '../../../src/postgres/sql.ts'
import { systemClock } from '../../../src/std/clock.ts'
import { Secret } from '../../../src/std/secret.ts'
import { createTestServer, superuserPassword, testInstallations } from '../../support/postgres.ts'
import type { TestServer } from '../../support/postgres.ts'

export const passphrase = new Secret('correct horse')

/** A server that has all client programs, a database `app` with something of everything, and a directory for dumps. */
export interface DumpScene extends AsyncDisposable {
  readonly server: TestServer
  readonly installations: readonly Installation[]
  readonly dumps: string
  readonly passphraseFile: string
  request(more?: Partial<DumpRequest>): Promise<DumpRequest>
  dump(more?: Partial<DumpRequest>, options?: Partial<DumpOptions>): Promise<readonly DumpOutcome[]>
  load(path: string, into?: string, options?: LoadOptions): Promise<LoadResult>
  inDatabase<Result>(database: string, work: (sql: Sql) => Promise<Result>): Promise<Result>
  /** Runs a shell script as an operator would, with the server's client programs, logged in. */
  shell(script: string): { readonly code: number | null; readonly stdout: Buffer; readonly stderr: string }
}

interface LoadOptions {
  readonly create?: boolean
  readonly passphrase?: Secret
  readonly signal?: AbortSignal
}

export async function openDumpScene(): Promise<DumpScene> {
  const installations = await testInstallations()
  const installation = installations.find(({ tools }) => tools.pgDump !== undefined && tools.pgRestore !== undefined)
  if (installation === undefined) throw new Error('these tests need a PostgreSQL with its client programs')
  const server = await createTestServer({ installation })
  const dumps = join(server.directory, 'dumps')
  const home = join(server.directory, 'gnupg')
  const passphraseFile = join(server.directory, 'passphrase')
  const passFile = join(server.directory, 'pgpass')
  await mkdir(dumps)
  await mkdir(home, { mode: 0o700 })
  await writeFile(passphraseFile, `${passphrase.reveal()}\n`, { mode: 0o600 })
  const password = superuserPassword.reveal().replaceAll('\\', '\\\\').replaceAll(':', '\\:')
  await writeFile(passFile, `*:*:*:*:${password}\n`, { mode: 0o600 })
  const request = async (more: Partial<DumpRequest> = {}): Promise<DumpRequest> => ({
    target: server.target,
    installations,
    database: 'app',
    content: 'custom',
    recipients: { passphrase },
    sink: more.sink ?? (await openDirectorySink(dumps)),
    cluster: 'main',
    node: 'n1',
    ...more,
  })
  const scene: DumpScene = {
    server,
    installations,
    dumps,
    passphraseFile,
    request,
    dump: async (more, options) => takeDumps(await request(more), { clock: systemClock, ...options }),
    load: async (path, into, options = {}) => {
      const { signal } = options
      const access = { passphrase: options.passphrase ?? passphrase }
      const dump = await inspectDump(await openFileSource(path), access, signal)
      const create = options.create ?? false
      return await loadDump({ dump, target: server.target, installations, into, create }, signal)
    },
    inDatabase: (database, work) => withSql({ ...server.target, database }, {}, work),
    shell: (script) => {
      const gpg = `gpg --homedir '${home}' --batch --quiet --pinentry-mode loopback --passphrase-file '${passphraseFile}'`
      const result = spawnSync(
        'bash',
        ['-c', `set -euo pipefail; shopt -s expand_aliases\nalias gpg="${gpg}"\n${script}`],
        {
          cwd: dumps,
          env: {
            PATH: `${installation.binDirectory}:/usr/bin:/bin`,
            LC_ALL: 'C',
            PGHOST: server.target.host,
            PGPORT: String(server.port),
            PGUSER: server.target.user,
            PGPASSFILE: passFile,
          },
          maxBuffer: 256 << 20,
        },
      )
      return { code: result.status, stdout: result.stdout, stderr: result.stderr.toString() }
    },
    [Symbol.asyncDispose]: async () => {
      spawnSync('gpgconf', ['--homedir', home, '--kill', 'all'])
      await server[Symbol.asyncDispose]()
    },
  }
  await fillServer(scene)
  return scene
}

async function fillServer(scene: DumpScene): Promise<void> {
  await scene.inDatabase('postgres', async (sql) => {
    await sql.query(`CREATE ROLE app_owner LOGIN PASSWORD 'app secret'`)
    await sql.query(`CREATE ROLE "Odd ""Role"`)
    await sql.query('GRANT app_owner TO "Odd ""Role"')
    await sql.query('CREATE DATABASE app OWNER app_owner')
    await sql.query(`CREATE DATABASE "Odd 'name' = x"`)
  })
  await scene.inDatabase('app', async (sql) => {
    await sql.query('CREATE SCHEMA sales AUTHORIZATION app_owner')
    await sql.query('CREATE TABLE sales.orders (id bigint PRIMARY KEY, note text, data bytea)')
    await sql.query('ALTER TABLE sales.orders OWNER TO app_owner')
    await sql.query(
      `INSERT INTO sales.orders SELECT g, E'line\n\\\\connect other\n' || g, sha256(g::text::bytea) FROM generate_series(1, 20000) g`,
    )
    await sql.query('CREATE TABLE parted (k int) PARTITION BY RANGE (k)')
    await sql.query('CREATE TABLE parted_1 PARTITION OF parted FOR VALUES FROM (0) TO (10)')
    await sql.query('INSERT INTO parted SELECT generate_series(0, 9)')
    await sql.query(`SELECT lo_from_bytea(0, 'large object')`)
    await sql.query('CREATE SEQUENCE s START 42')
    await sql.query(`CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 7'`)
  })
}

/** The record of the only dump of a database in a run; fails the test when there is none. */
export function recordOf(outcomes: readonly DumpOutcome[], database: string | null): DumpRecord {
  const found = outcomes.filter((one) => one.outcome === 'ok').find(({ record }) => record.database === database)
  if (found === undefined) throw new Error(`not dumped: ${JSON.stringify(outcomes)}`)
  return found.record
}

/** Everything that tells two copies of the database apart. */
export async function contentOf(scene: DumpScene, database: string): Promise<unknown> {
  return await scene.inDatabase(database, async (sql) => [
    await sql.query(`SELECT count(*), sum(hashtextextended(o::text, 0)) FROM sales.orders o`),
    await sql.query(`SELECT tableoid::regclass::text, k FROM parted ORDER BY k`),
    await sql.query(`SELECT f(), nextval('s')`),
    await sql.query(`SELECT tableowner FROM pg_tables WHERE tablename = 'orders'`),
    await sql.query(`SELECT convert_from(lo_get(oid), 'UTF8') FROM pg_largeobject_metadata`),
  ])
}

export async function flip(path: string, share: number): Promise<void> {
  const bytes = await readFile(path)
  const at = Math.floor(bytes.length * share)
  bytes[at] = (bytes[at] ?? 0) ^ 1
  await writeFile(path, bytes)
}

/** A database of about 120 MB that no compression makes smaller. */
export async function addNoise(scene: DumpScene): Promise<void> {
  await scene.inDatabase('postgres', (sql) => sql.query('CREATE DATABASE noise'))
  await scene.inDatabase('noise', async (sql) => {
    await sql.query('CREATE TABLE noise (b bytea)')
    await sql.query('ALTER TABLE noise ALTER b SET STORAGE EXTERNAL')
    await sql.query(
      `INSERT INTO noise SELECT (SELECT string_agg(sha256((g || '-' || i)::text::bytea), '')
       FROM generate_series(1, 8192) i) FROM generate_series(1, 480) g`,
    )
  })
}
