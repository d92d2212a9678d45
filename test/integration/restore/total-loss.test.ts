import assert from 'node:assert/strict'
import { lstat, mkdir, readdir, readlink } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { test } from 'node:test'
import type { Installation } from '../../../src/postgres/installation.ts'
import { withSql } from '../../../src/postgres/sql.ts'
import { restoreFaults } from '../../../src/restore/faults.ts'
import { recover } from '../../../src/restore/recover.ts'
import { runRestore } from '../../../src/restore/run-restore.ts'
import { systemClock } from '../../../src/std/clock.ts'
import { isFault } from '../../../src/std/fault.ts'
import { runProgram } from '../../../src/std/run-program.ts'
import { superuser, testMajors } from '../../support/postgres.ts'
import { currentLsn, durableEnd, openArchiveScene, startArchiver } from '../archive/archive-scene.ts'
import type { ArchiveScene } from '../archive/archive-scene.ts'
import { backUp, plan, restore, rowsOf } from './restore-scene.ts'

type Written = readonly [x: number, commitEnd: bigint]

async function write(scene: ArchiveScene, from: number, to: number): Promise<readonly Written[]> {
  const acknowledged: Written[] = []
  await using sql = await scene.server.sql()
  for (let x = from; x <= to; x += 1) {
    await sql.query('INSERT INTO t VALUES ($1)', [x])
    acknowledged.push([x, await currentLsn(sql)])
  }
  return acknowledged
}

async function losesEverything(installation: Installation): Promise<void> {
  await using scene = await openArchiveScene({ installation })
  const acknowledged: Written[] = []
  {
    await using archiver = startArchiver(scene, { flushMs: 100 })
    {
      await using sql = await scene.server.sql()
      await sql.query('CREATE TABLE t (x int)')
      await sql.query('CREATE TABLE big AS SELECT i, md5(i::text) AS m FROM generate_series(1, 30000) i')
      await sql.query('CREATE INDEX ON big (m)')
    }
    await backUp(scene)
    acknowledged.push(...(await write(scene, 1, 100)))
    const surely = acknowledged.at(-1)?.[1] ?? 0n
    await archiver.until(({ durableLsn = 0n }) => durableLsn >= surely)
    acknowledged.push(...(await write(scene, 101, 400)))
    process.kill(scene.server.server.pid, 'SIGKILL')
    await scene.server.server.exited
  }
  const durable = await durableEnd(scene, 1)
  {
    await using recovered = await restore(scene, { kind: 'latest' })
    const present = new Set(await rowsOf(recovered))
    const lost = acknowledged.filter(([x, lsn]) => lsn <= durable && !present.has(String(x)))
    assert.deepEqual(lost, [], `rows that were durable up to ${durable} are gone`)
    assert.ok(present.size >= 100)
  }
  await checkFiles(installation, join(scene.server.directory, 'restored'))
}

/** Where the tool is there, every page's checksum is right. */
async function checkFiles(installation: Installation, dataDirectory: string): Promise<void> {
  const { pgChecksums } = installation.tools
  if (pgChecksums === undefined) return
  await runProgram(pgChecksums, ['--check', '-D', dataDirectory], { environment: {}, deadlineMs: 30_000 })
}

for (const installation of await testMajors()) {
  const what = `PostgreSQL ${installation.major} (${installation.source})`
  test(`${what} killed under load: everything durable is restored from the repository alone`, { timeout: 60_000 }, () =>
    losesEverything(installation),
  )
}

test('segments of 64 MiB', { timeout: 60_000 }, async () => {
  await using scene = await openArchiveScene({ walSegmentBytes: 64 * 2 ** 20, parameters: { max_wal_size: '1GB' } })
  await using sql = await scene.server.sql()
  {
    await using archiver = startArchiver(scene)
    await sql.query('CREATE TABLE t (x int)')
    await backUp(scene)
    await sql.query('INSERT INTO t SELECT generate_series(1, 100)')
    await sql.query('SELECT pg_switch_wal()')
    await sql.query('INSERT INTO t VALUES (101)')
    const lsn = await currentLsn(sql)
    await archiver.until(({ durableLsn = 0n }) => durableLsn >= lsn)
  }
  await using recovered = await restore(scene, { kind: 'latest' })
  assert.equal((await rowsOf(recovered)).length, 101)
})

test('tablespaces go where they are told to, and never to their old place', { timeout: 60_000 }, async () => {
  await using scene = await openArchiveScene()
  await using sql = await scene.server.sql()
  const original = join(scene.server.directory, 'fast disk')
  await mkdir(original)
  let oid = 0
  {
    await using archiver = startArchiver(scene)
    await sql.query(`CREATE TABLESPACE fast LOCATION '${original}'`)
    await sql.query('CREATE TABLE t (x int) TABLESPACE fast')
    const [row] = await sql.query<{ oid: number }>("SELECT oid FROM pg_tablespace WHERE spcname = 'fast'")
    oid = Number(row?.oid)
    await backUp(scene)
    await sql.query('INSERT INTO t VALUES (1)')
    const lsn = await currentLsn(sql)
    await archiver.until(({ durableLsn = 0n }) => durableLsn >= lsn)
  }
  const planned = await plan(scene, { kind: 'latest' })
  const targetDirectory = join(scene.server.directory, 'restored')
  const options = { targetDirectory, workers: 2, clock: systemClock }
  await assert.rejects(runRestore(scene.repository, planned, options), (error) =>
    isFault(error, restoreFaults['restore-tablespace-unmapped']),
  )
  const elsewhere = join(scene.server.directory, 'slow disk')
  await runRestore(scene.repository, planned, { ...options, tablespaces: new Map([[String(oid), elsewhere]]) })
  await using recovered = await recover(scene.repository, planned, {
    installation: scene.server.installation,
    dataDirectory: targetDirectory,
    action: 'promote',
    superuser,
    clock: systemClock,
  })
  assert.deepEqual(await rowsOf(recovered), ['1'])
  assert.equal(await readlink(join(targetDirectory, 'pg_tblspc', String(oid))), elsewhere)
  assert.ok(recovered.connection !== undefined)
  const [place] = await withSql(recovered.connection, {}, (copy) =>
    copy.query(`SELECT pg_tablespace_location(${oid}) AS path`),
  )
  assert.deepEqual(place, { path: elsewhere })
})

test('a tablespace created after the backup is made in the copy, not in the directory of the original', async () => {
  await using scene = await openArchiveScene()
  await using sql = await scene.server.sql()
  const original = join(scene.server.directory, 'new disk')
  const more = ['one', 'two', 'three', 'four', 'five']
  for (const directory of [original, ...more]) await mkdir(resolve(scene.server.directory, directory))
  {
    await using archiver = startArchiver(scene)
    await backUp(scene)
    for (const name of more) {
      // Records of many lengths before it, in its own segment and in others.
      await sql.query(`CREATE TABLE ${name} AS SELECT i, repeat('x', i % 3000) FROM generate_series(1, 7000) i`)
      await sql.query(`CREATE TABLESPACE ${name} LOCATION '${join(scene.server.directory, name)}'`)
    }
    await sql.query(`CREATE TABLESPACE late LOCATION '${original}'`)
    await sql.query('CREATE TABLE t TABLESPACE late AS SELECT 1 AS x')
    await sql.query('CHECKPOINT')
    // Behind the tablespace's own record, so that replay writes to its files.
    await sql.query('INSERT INTO t VALUES (2)')
    const lsn = await currentLsn(sql)
    await archiver.until(({ durableLsn = 0n }) => durableLsn >= lsn)
  }
  const before = await readdir(original, { recursive: true })
  await sql.query('INSERT INTO t VALUES (3)')
  await using recovered = await restore(scene, { kind: 'latest' })
  assert.deepEqual(await rowsOf(recovered), ['1', '2'])
  const places = recovered.tablespacesInPlace.map(({ location }) => location)
  assert.deepEqual(places, [...more.map((name) => join(scene.server.directory, name)), original])
  const tablespace = recovered.tablespacesInPlace.at(-1)
  assert.ok(tablespace !== undefined)
  assert.ok((await lstat(join(scene.server.directory, 'restored', 'pg_tblspc', String(tablespace.oid)))).isDirectory())
  assert.deepEqual(await readdir(original, { recursive: true }), before)
  const rows = await sql.query<{ x: number }>('SELECT x FROM t ORDER BY x')
  assert.deepEqual(
    rows.map(({ x }) => x),
    [1, 2, 3],
  )
})
