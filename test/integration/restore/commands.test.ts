import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { copyFile, mkdir, readFile, readdir, rename, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { stringify } from 'yaml'
import { freePort } from '../../../src/postgres/port.ts'
import { withSql } from '../../../src/postgres/sql.ts'
import type { Sql } from '../../../src/postgres/sql.ts'
import { segmentNameAt, segmentObject } from '../../../src/repository/core/object-names.ts'
import { runHoldfast } from '../../support/cli-cluster.ts'
import type { CliOutcome } from '../../support/cli-cluster.ts'
import { superuserPassword, testInstallations } from '../../support/postgres.ts'
import { cluster, currentLsn, openArchiveScene, passphrase, startArchiver } from '../archive/archive-scene.ts'
import type { ArchiveScene } from '../archive/archive-scene.ts'
import { backUp, plan } from './restore-scene.ts'

// A running server with a shop, of which rows were deleted by mistake after `moment`; its commands are the shipped ones.
let scene: ArchiveScene
let moment = ''
const at = (name: string): string => join(scene.server.directory, name)

async function configureNode(): Promise<void> {
  const { server, repositoryRoot } = scene
  const [passwordFile, passphraseFile] = [at('password'), at('passphrase')]
  await writeFile(passwordFile, superuserPassword.reveal(), { mode: 0o600 })
  await writeFile(passphraseFile, passphrase.reveal(), { mode: 0o600 })
  const dataDirectory = `${server.directory}-data`
  const config = {
    cluster,
    // The node's socket is in its state directory, where the test's server has it too.
    node: { name: 'n1', address: '127.0.0.1', dataDirectory, stateDirectory: server.directory },
    postgres: { port: server.port, superuser: { passwordFile }, replication: { passwordFile } },
    api: { address: '127.0.0.1', port: await freePort() },
    coordinator: { type: 'embedded', file: at('coordinator.db') },
    repositories: [{ name: 'local', type: 'filesystem', path: repositoryRoot, passphraseFile }],
  }
  await writeFile(at('holdfast.yaml'), stringify(config))
}

before(async () => {
  const installations = await testInstallations()
  const installation = installations.find(({ tools }) => tools.pgDump !== undefined && tools.pgRestore !== undefined)
  if (installation === undefined) throw new Error('these tests need a PostgreSQL with its client programs')
  scene = await openArchiveScene({ installation })
  await configureNode()
  await using archiver = startArchiver(scene)
  await using sql = await scene.server.sql()
  await sql.query(`CREATE DATABASE shop TEMPLATE template0 ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C'`)
  await inShop(async (shop) => {
    await shop.query('CREATE TABLE customers (id int PRIMARY KEY)')
    await shop.query('CREATE SCHEMA "Old.Stuff"')
    await shop.query(
      `CREATE TABLE "Old.Stuff".orders (id serial PRIMARY KEY, customer int REFERENCES customers, what text UNIQUE)
       PARTITION BY RANGE (id)`.replace('UNIQUE', ''),
    )
    await shop.query('CREATE TABLE "Old.Stuff".orders_1 PARTITION OF "Old.Stuff".orders FOR VALUES FROM (1) TO (1000)')
    await shop.query('CREATE INDEX by_what ON "Old.Stuff".orders (what)')
    await shop.query('INSERT INTO customers SELECT generate_series(1, 10)')
    await shop.query(
      `INSERT INTO "Old.Stuff".orders (customer, what) SELECT i % 10 + 1, 'x' || i FROM generate_series(1, 500) i`,
    )
  })
  await backUp(scene)
  await inShop((shop) => shop.query(`INSERT INTO "Old.Stuff".orders (customer, what) VALUES (1, 'after the backup')`))
  const [now] = await sql.query<{ now: string }>("SELECT (clock_timestamp() AT TIME ZONE 'UTC')::text || '+00' AS now")
  moment = now?.now ?? ''
  await inShop((shop) => shop.query('DELETE FROM "Old.Stuff".orders'))
  await sql.query('CREATE TABLE ticks (n int)')
  for (let n = 0; n < 4; n += 1) {
    await sql.query('INSERT INTO ticks VALUES (1)')
    await sql.query('SELECT pg_switch_wal()')
  }
  const lsn = await currentLsn(sql)
  await archiver.until(({ durableLsn = 0n }) => durableLsn >= lsn)
})

after(() => scene[Symbol.asyncDispose]())

function inShop<Result>(work: (sql: Sql) => Promise<Result>, database = 'shop'): Promise<Result> {
  return withSql({ ...scene.server.target, database }, {}, work)
}

async function holdfast(...words: readonly string[]): Promise<CliOutcome> {
  return await runHoldfast([...words, '--config', at('holdfast.yaml')], scene.server.directory)
}

async function restore(...words: readonly string[]): Promise<CliOutcome> {
  const outcome = await holdfast('restore', '--target-time', moment, ...words)
  assert.deepEqual(
    (await readdir(scene.server.directory)).filter((name) => name.startsWith('holdfast-sandbox')),
    [],
  )
  return outcome
}

const count = 'SELECT count(*)::int AS n FROM'

test('one table comes back beside the original, with its partitions, indexes and sequence', async () => {
  const done = await restore('--table', 'shop."Old.Stuff".orders', '--as', 'saved', '--json')
  assert.equal(done.code, 0, done.stderr)
  const events = done.stderr
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as { progress?: { stage: string } })
  assert.ok(events.some(({ progress }) => progress?.stage === 'replaying WAL'))
  await inShop(async (shop) => {
    assert.deepEqual(await shop.query(`${count} saved.orders`), [{ n: 501 }])
    assert.deepEqual(await shop.query(`${count} saved.orders_1`), [{ n: 501 }])
    assert.deepEqual(await shop.query(`${count} "Old.Stuff".orders`), [{ n: 0 }])
    assert.deepEqual(await shop.query(`${count} pg_indexes WHERE schemaname = 'saved'`), [{ n: 4 }])
    assert.deepEqual(
      await shop.query(`${count} pg_constraint WHERE contype = 'f' AND conrelid = 'saved.orders'::regclass`),
      [{ n: 0 }],
    )
    // After a recovery a sequence may have left numbers out.
    const [next] = await shop.query<{ n: number }>(`SELECT nextval('saved.orders_id_seq')::int AS n`)
    assert.ok((next?.n ?? 0) > 501)
  })
  const again = await restore('--table', 'shop."Old.Stuff".orders', '--as', 'saved')
  assert.equal(again.code, 5)
  assert.match(again.stderr, /restore-name-taken/)
})

test('one database comes back beside the original, with its encoding; a file is for pg_restore', async () => {
  const done = await restore('--database', 'shop')
  assert.equal(done.code, 0, done.stderr)
  const name = /as database (shop_restored_\w+)/.exec(done.stdout)?.[1] ?? assert.fail(done.stdout)
  await inShop(async (copy) => {
    assert.deepEqual(await copy.query(`${count} "Old.Stuff".orders`), [{ n: 501 }])
    assert.deepEqual(await copy.query(`SELECT current_setting('server_encoding') AS is`), [{ is: 'LATIN1' }])
    assert.deepEqual(await copy.query(`${count} pg_constraint WHERE contype = 'f' AND conparentid = 0`), [{ n: 1 }])
  }, name)
  const file = await restore('--table', 'shop."Old.Stuff".orders_1', '--output', 'orders.dump')
  assert.equal(file.code, 0, file.stderr)
  assert.equal((await stat(at('orders.dump'))).mode & 0o777, 0o600)
  const listed = spawnSync(scene.server.installation.tools.pgRestore ?? '', ['--list', at('orders.dump')], {
    encoding: 'utf8',
  })
  assert.match(listed.stdout, /TABLE DATA Old\.Stuff orders_1/)
})

test('what is not there, and words that do not go together, are named', async () => {
  for (const [code, fault, words] of [
    [4, 'restore-subject-missing', ['--database', 'Shop']],
    [2, 'cli-usage', ['--database', 'shop', '--to', 'there']],
    [2, 'cli-usage', ['--output', 'x']],
    [2, 'cli-usage', ['--table', 'orders']],
    [5, 'restore-name-taken', ['--database', 'shop', '--as', 'postgres']],
  ] as const) {
    const outcome = await restore(...words)
    assert.equal(outcome.code, code, outcome.stderr)
    assert.ok(outcome.stderr.includes(fault), outcome.stderr)
  }
})

test('the plan tells room, forecast and what is missing; an overwriting restore wants to be confirmed', async () => {
  const first = JSON.parse((await restore('--dry-run', '--to', 'copy', '--json')).stdout) as Record<string, unknown>
  const { rooms, unusablePacks, forecast } = first as {
    rooms: { neededBytes: number }[]
    unusablePacks: object[]
    forecast: { basis: string }
  }
  assert.ok((rooms[0]?.neededBytes ?? 0) > 10_000_000)
  assert.deepEqual(unusablePacks, [])
  assert.match(forecast.basis, /fetching and opening one pack now/)
  const done = await restore('--to', 'copy')
  assert.equal(done.code, 0, done.stderr)
  assert.match((await restore('--plan')).stdout, /the median of the last 1 on this machine/)
  assert.match((await restore('--to', 'copy')).stderr, /restore-directory-not-empty/)
  const unasked = await restore('--to', 'copy', '--delta')
  assert.equal(unasked.code, 5)
  assert.match(unasked.stderr, /Everything in it becomes backup/)
  const overwritten = await restore('--to', 'copy', '--delta', '--yes')
  assert.equal(overwritten.code, 0, overwritten.stderr)
  assert.match(overwritten.stdout, /were right already/)
})

test('law L7: a store that goes away in recovery stops it; run again it goes on, with the files that are there', async () => {
  const { plan: made } = await plan(scene, { kind: 'latest' })
  const piece = made.wal[2] ?? assert.fail()
  const name = segmentNameAt(piece.timeline, piece.segmentStart, made.segmentBytes)
  const object = join(scene.repositoryRoot, segmentObject(cluster, name))
  const wal = join(scene.repositoryRoot, cluster, 'wal')
  await mkdir(at('away'))
  await rename(object, at('away/segment'))
  // To the plan the segment is there; when its bytes are wanted they are not.
  await writeFile(object, 'not what it was')
  const stopped = await holdfast('restore', '--to', 'goes-on', '--latest')
  assert.equal(stopped.code, 8, stopped.stderr)
  assert.match(stopped.stderr, /run the same command again/)
  await rename(wal, at('away/wal'))
  assert.notEqual((await holdfast('restore', '--to', 'goes-on', '--latest')).code, 0)
  await rename(at('away/wal'), wal)
  await rename(at('away/segment'), object)
  const done = await holdfast('restore', '--to', 'goes-on', '--latest')
  assert.equal(done.code, 0, done.stderr)
  assert.match(done.stdout, /files were there from an earlier run/)
})

test('every command of the guide to restores does what it says', async () => {
  const home = at('guide')
  await mkdir(home)
  await copyFile(at('holdfast.yaml'), join(home, 'n1.yaml'))
  const root = join(import.meta.dirname, '..', '..', '..')
  const program = join(home, 'holdfast')
  await writeFile(program, `#!/bin/sh\nexec '${process.execPath}' '${join(root, 'src', 'main.ts')}' "$@"\n`, {
    mode: 0o755,
  })
  const guide = await readFile(join(root, 'docs/guide/restore.md'), 'utf8')
  const blocks = [...guide.matchAll(/^```sh\n(.*?)^```$/gms)].map((match) => match[1] ?? '')
  assert.equal(blocks.length, 4)
  // The guide's shop is simpler than the one of the other tests.
  const script = blocks.join('\n').replaceAll('shop.public.orders', `'shop."Old.Stuff".orders'`)
  const environment = { ...process.env, PATH: `${home}:${process.env['PATH']}`, MOMENT: moment }
  const { status, stdout, stderr } = spawnSync('bash', ['-ec', script], {
    cwd: home,
    env: environment,
    encoding: 'utf8',
  })
  assert.equal(status, 0, `${stdout}${stderr}`)
  assert.match(stdout, /restored to just before .* in .*copy/)
  assert.match(stdout, /were right already/)
  assert.match(stdout, /is beside the original as rescued\.orders/)
  assert.match(stdout, /is in .*orders\.dump, for pg_restore/)
})
