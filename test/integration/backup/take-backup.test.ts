import assert from 'node:assert/strict'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import type { BackupProgress } from '../../../src/backup/core/progress.ts'
import { takeBackup } from '../../../src/backup/take-backup.ts'
import { openSql, type Sql } from '../../../src/postgres/sql.ts'
import { listBackups, readManifest } from '../../../src/repository/catalogue.ts'
import { systemClock } from '../../../src/std/clock.ts'
import { createTestDirectory, testMajors, type TestServer } from '../../support/postgres.ts'
import { openBackupScene, recoverCopy, runTool } from './backup-scene.ts'
import { layOutBackup } from './lay-out-backup.ts'
import { startWalFeeder } from './wal-feeder.ts'

const clock = systemClock

/** Writes without pause until disposed: rows, updates that shrink and grow tables, tables that come and go. */
async function startWriting(server: TestServer): Promise<AsyncDisposable & { readonly acknowledged: () => number }> {
  const sql = await openSql(server.target)
  const stop = new AbortController()
  let acknowledged = 0
  const writing = (async () => {
    for (let round = 0; !stop.signal.aborted; round++) {
      await sql.query(
        'INSERT INTO ledger SELECT n, repeat(md5(n::text), 20) FROM generate_series($1::int, $2::int) n',
        [acknowledged, acknowledged + 99],
      )
      acknowledged += 100
      await sql.query('UPDATE churn SET filler = md5(random()::text) WHERE id % 10 = $1::int % 10', [round])
      if (round % 5 === 0) {
        await sql.query(`CREATE TABLE passing_${round} AS SELECT generate_series(1, 3000) AS id`)
        if (round >= 10) await sql.query(`DROP TABLE passing_${round - 10}`)
      }
      if (round % 7 === 0) {
        await sql.query('DELETE FROM shrinking WHERE id > 100')
        await sql.query('VACUUM (TRUNCATE) shrinking')
        await sql.query('INSERT INTO shrinking SELECT generate_series(101, 20000)')
      }
    }
  })()
  return {
    acknowledged: () => acknowledged,
    [Symbol.asyncDispose]: async () => {
      stop.abort()
      await writing
      await sql.close()
    },
  }
}

async function createTables(sql: Sql): Promise<void> {
  await sql.query('CREATE TABLE ledger (id int PRIMARY KEY, filler text)')
  await sql.query('CREATE TABLE churn AS SELECT id, md5(id::text) AS filler FROM generate_series(1, 100000) id')
  await sql.query('CREATE INDEX ON churn (filler)')
  // More than one part of work, hence from several packs.
  await sql.query(
    'CREATE TABLE wide AS SELECT id, repeat(md5(id::text), 30) AS filler FROM generate_series(1, 60000) id',
  )
  await sql.query('CREATE TABLE shrinking AS SELECT generate_series(1, 20000) AS id')
}

for (const installation of await testMajors()) {
  test(`a backup under load recovers, PostgreSQL ${installation.version}`, { timeout: 180_000 }, async () => {
    await using scene = await openBackupScene({ installation })
    const { server } = scene
    await using source = await server.sql()
    await createTables(source)
    const progress: BackupProgress[] = []
    let sureRows = 0
    let result
    {
      await using writer = await startWriting(server)
      result = await takeBackup(scene.request, {
        clock,
        label: 'under load',
        node: 'node1',
        workers: 2,
        onProgress: (now) => {
          // What was acknowledged while files were still copied is before the stop LSN.
          if (now.stage === 'copying') sureRows = writer.acknowledged()
          progress.push(now)
        },
      })
    }
    const { facts } = result.commit
    assert.deepEqual(result.damagedPages, [])
    assert.equal(facts.role, 'primary')
    assert.equal(facts.labels['label'], 'under load')
    assert.equal(facts.node, 'node1')
    assert.ok(facts.stopLsn > facts.startLsn)
    assert.deepEqual(
      (await listBackups(scene.repository, 'main')).backups.map((each) => each.facts),
      [facts],
    )
    const copying = progress.filter((each) => each.stage === 'copying')
    assert.equal(copying.at(-1)?.bytesDone, copying.at(-1)?.bytesTotal)
    assert.equal(copying.at(-1)?.filesDone, copying.at(-1)?.files)
    assert.equal(progress.at(-1)?.stage, 'done')

    await using directory = await createTestDirectory()
    await layOutBackup(scene.repository, result.commit, directory.path)
    await using copy = await recoverCopy(scene, directory.path)
    const [rows] = await copy.sql.query<{ count: string; ends: boolean; gaps: string }>(`SELECT count(*),
      bool_and(filler = repeat(md5(id::text), 20)) AS ends, max(id) + 1 - count(*) AS gaps FROM ledger`)
    assert.ok(Number(rows?.count) >= sureRows, `${rows?.count} of ${sureRows} rows`)
    assert.deepEqual([rows?.ends, rows?.gaps], [true, '0'])
    const [churn] = await copy.sql.query<{ count: string }>('SELECT count(*) FROM churn')
    assert.equal(churn?.count, '100000')
    const [wide] = await copy.sql.query<{ fine: boolean }>(
      'SELECT count(*) = 60000 AND bool_and(filler = repeat(md5(id::text), 30)) AS fine FROM wide',
    )
    assert.equal(wide?.fine, true)
    const [shrunk] = await copy.sql.query<{ fine: boolean }>('SELECT count(*) IN (100, 20000) AS fine FROM shrinking')
    assert.equal(shrunk?.fine, true)

    const { pgAmcheck, pgChecksums } = installation.tools
    if (pgAmcheck !== undefined) {
      const checked = await runTool(pgAmcheck, {
        arguments: [
          '--all',
          '--install-missing',
          '--heapallindexed',
          '-h',
          directory.path,
          '-p',
          String(server.port),
        ].concat(['-U', server.target.user]),
        environment: { ...installation.environment, PGPASSWORD: server.target.password.reveal() },
      })
      assert.deepEqual(checked, { exitCode: 0, output: '' })
    }
    await copy.stop()
    if (pgChecksums !== undefined) {
      const checked = await runTool(pgChecksums, {
        arguments: ['--check', '-D', join(directory.path, 'data')],
        environment: installation.environment,
      })
      assert.equal(checked.exitCode, 0, checked.output)
      assert.match(checked.output, /Bad checksums: +0/)
    }
  })
}

test('tablespaces are copied, unlogged and temporary tables are left out', { timeout: 120_000 }, async () => {
  await using scene = await openBackupScene()
  await using sql = await scene.server.sql()
  const location = join(scene.server.directory, 'space')
  await mkdir(location)
  await sql.query(`CREATE TABLESPACE fast LOCATION '${location}'`)
  await sql.query('CREATE TABLE spaced TABLESPACE fast AS SELECT generate_series(1, 5000) AS id')
  await sql.query('CREATE UNLOGGED TABLE scratch AS SELECT generate_series(1, 5000) AS id')
  await sql.query('CREATE TEMPORARY TABLE mine AS SELECT generate_series(1, 5000) AS id')
  const paths = await sql.query<{ name: string; path: string }>(
    "SELECT relname AS name, pg_relation_filepath(oid) AS path FROM pg_class WHERE relname IN ('spaced', 'scratch', 'mine')",
  )
  const pathOf = (name: string): string => paths.find((row) => row.name === name)?.path ?? assert.fail(name)

  const { commit } = await takeBackup(scene.request, { clock })

  const manifest = await readManifest(scene.repository, commit)
  const held = new Set(manifest.files.map((file) => file.path))
  assert.ok(held.has(pathOf('spaced')))
  assert.ok(held.has(`${pathOf('scratch')}_init`))
  assert.ok(!held.has(pathOf('scratch')))
  assert.ok(!held.has(pathOf('mine')))
  assert.equal(manifest.files.at(-1)?.path, 'global/pg_control')
  const excluded = /^postmaster\.|^backup_label|^pg_wal\/.*[0-9A-F]{24}|pg_internal\.init/
  assert.deepEqual(
    [...held].filter((path) => excluded.test(path)),
    [],
  )
  assert.deepEqual(
    manifest.tablespaces.map((tablespace) => tablespace.location),
    [location],
  )

  await using directory = await createTestDirectory()
  await layOutBackup(scene.repository, commit, directory.path)
  await using copy = await recoverCopy(scene, directory.path)
  const [rows] = await copy.sql.query<{ spaced: string; scratch: string }>(
    'SELECT (SELECT count(*) FROM spaced) AS spaced, (SELECT count(*) FROM scratch) AS scratch',
  )
  assert.deepEqual(rows, { spaced: '5000', scratch: '0' })
  const [where] = await copy.sql.query<{ location: string }>(
    "SELECT pg_tablespace_location(oid) AS location FROM pg_tablespace WHERE spcname = 'fast'",
  )
  assert.equal(where?.location.startsWith(directory.path), true)
})

test('a cluster without page checksums is copied, unverified', { timeout: 120_000 }, async (t) => {
  await using scene = await openBackupScene({ major: 15, feedWal: false })
  const { server } = scene
  const { pgChecksums } = server.installation.tools
  if (pgChecksums === undefined) return t.skip('PostgreSQL 15 without pg_checksums')
  await server.stop()
  const disabled = await runTool(pgChecksums, {
    arguments: ['--disable', '-D', server.dataDirectory],
    environment: server.installation.environment,
  })
  assert.equal(disabled.exitCode, 0, disabled.output)
  await server.start()
  await using _feeder = await startWalFeeder(server, scene.repository, 'main')
  const { commit, damagedPages } = await takeBackup(scene.request, { clock })
  assert.equal(commit.facts.pageChecksums, false)
  assert.deepEqual(damagedPages, [])
  await using directory = await createTestDirectory()
  await layOutBackup(scene.repository, commit, directory.path)
  await using _copy = await recoverCopy(scene, directory.path)
})
