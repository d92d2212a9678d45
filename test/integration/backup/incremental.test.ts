import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import type { BackupResult } from '../../../src/backup/take-backup.ts'
import { takeBackup } from '../../../src/backup/take-backup.ts'
import type { Sql } from '../../../src/postgres/sql.ts'
import { packObject } from '../../../src/repository/core/object-names.ts'
import type { Commit } from '../../../src/repository/core/commit.ts'
import { verifyBackup } from '../../../src/repository/verify.ts'
import { systemClock } from '../../../src/std/clock.ts'
import { createTestDirectory, testMajors } from '../../support/postgres.ts'
import { digestTables } from '../../support/table-digests.ts'
import { checkPages, checkTablesAndIndexes, withRestoredCopy } from '../../support/restored-copy.ts'
import { type BackupScene, openBackupScene, recoverCopy } from './backup-scene.ts'
import { layOutBackup } from './lay-out-backup.ts'

const clock = systemClock
const quiet = { autovacuum: 'off', checkpoint_timeout: '1h' }

async function createTables(sql: Sql): Promise<void> {
  await sql.query(
    'CREATE TABLE ledger AS SELECT n AS id, repeat(md5(n::text), 20) AS filler FROM generate_series(1, 40000) n',
  )
  await sql.query('CREATE TABLE emptied AS SELECT id, md5(id::text) AS filler FROM generate_series(1, 20000) id')
  await sql.query('CREATE TABLE shrinking AS SELECT id, md5(id::text) AS filler FROM generate_series(1, 20000) id')
  await sql.query('CREATE TABLE dropped AS SELECT id FROM generate_series(1, 20000) id')
  await sql.query('CREATE TABLE unhinted AS SELECT id FROM generate_series(1, 20000) id')
  await sql.query('CREATE UNLOGGED TABLE scratch AS SELECT id FROM generate_series(1, 20000) id')
}

/** Everything that changes pages, files and forks in another way. */
const changes: readonly (readonly string[])[] = [
  ['UPDATE ledger SET filler = reverse(filler) WHERE id % 500 = 0', 'SELECT count(*) FROM unhinted'],
  ['TRUNCATE emptied', 'INSERT INTO emptied SELECT id, md5((-id)::text) FROM generate_series(1, 30000) id'],
  [
    'DELETE FROM shrinking WHERE id > 1000',
    'VACUUM (TRUNCATE) shrinking',
    'INSERT INTO shrinking SELECT id, reverse(md5(id::text)) FROM generate_series(1001, 30000) id',
  ],
  ['DELETE FROM ledger WHERE id % 7 = 0', 'VACUUM (FREEZE) ledger', 'CREATE INDEX ON ledger (filler)'],
  ['DROP TABLE dropped', 'CREATE TABLE anew AS SELECT id FROM generate_series(1, 5000) id'],
  [
    'CREATE DATABASE other STRATEGY file_copy',
    'ALTER TABLE scratch SET LOGGED',
    'CLUSTER ledger USING ledger_filler_idx',
  ],
]

for (const installation of (await testMajors()).filter(({ major }) => major === 15 || major === 18)) {
  test(
    `incremental backups restore alone to what the server has, ${installation.version}`,
    { timeout: 300_000 },
    async () => {
      await using scene = await openBackupScene({ installation, parameters: quiet })
      await using sql = await scene.server.sql()
      await createTables(sql)
      let parent = (await takeBackup(scene.request, { clock })).commit
      assert.equal(parent.facts.kind, 'full')
      for (const [round, statements] of changes.entries()) {
        for (const statement of statements) await sql.query(statement)
        const result = await takeBackup(scene.request, { clock, readAll: round % 2 === 0 })
        const { facts } = result.commit
        assert.deepEqual([facts.kind, facts.parent, result.fullReason], ['incremental', parent.facts.backup, undefined])
        assert.ok(result.changedBytes < facts.dataBytes / 2, `${result.changedBytes} of ${facts.dataBytes} changed`)
        assert.deepEqual((await verifyBackup(scene.repository, result.commit)).bad, [])
        await assertSameFiles(scene, result.commit)
        parent = result.commit
      }
      await assertRestores(scene, parent)
    },
  )
}

test('where nothing changed, next to nothing is stored', { timeout: 120_000 }, async () => {
  await using scene = await openBackupScene({ parameters: quiet })
  await using sql = await scene.server.sql()
  await createTables(sql)
  const full = await takeBackup(scene.request, { clock })
  const second = await takeBackup(scene.request, { clock })
  assert.ok(second.changedBytes < full.commit.facts.dataBytes / 10)
  // By now every file was left alone long enough for its times to be believed.
  await sql.query('SELECT pg_sleep(3.5)')
  const settled = await takeBackup(scene.request, { clock })
  const third = await takeBackup(scene.request, { clock })
  assert.equal(settled.commit.facts.kind, 'incremental')
  assert.ok(ownBytes(third) < 200_000, `${ownBytes(third)} bytes stored`)
  assert.ok(third.changedBytes < 200_000, `${third.changedBytes} bytes changed`)
  await assertSameFiles(scene, third.commit)
})

test('a parent whose pack is gone is not built upon', { timeout: 120_000 }, async () => {
  await using scene = await openBackupScene({ parameters: quiet })
  const { commit } = await takeBackup(scene.request, { clock })
  await scene.repository.store.delete(packObject('main', commit.facts.backup, 0))
  const next = await takeBackup(scene.request, { clock })
  assert.deepEqual([next.commit.facts.kind, next.fullReason], ['full', 'parent-damaged'])
  assert.deepEqual((await verifyBackup(scene.repository, next.commit)).bad, [])
})

test('a database made anew under its old oid shares nothing with the old one', { timeout: 120_000 }, async () => {
  await using scene = await openBackupScene({ parameters: quiet })
  await using sql = await scene.server.sql()
  await sql.query('CREATE DATABASE apple STRATEGY file_copy')
  await sql.query('CREATE DATABASE pear STRATEGY file_copy OID = 77777')
  for (const [database, table] of [
    ['apple', 'red'],
    ['pear', 'ripe'],
  ] as const) {
    await using inside = await scene.server.sql(database)
    await inside.query(`CREATE TABLE ${table} AS SELECT generate_series(1, 10000) AS id`)
  }
  await takeBackup(scene.request, { clock })
  await sql.query('DROP DATABASE pear')
  await sql.query('CREATE DATABASE pear TEMPLATE apple STRATEGY file_copy OID = 77777')
  const { commit } = await takeBackup(scene.request, { clock })
  assert.equal(commit.facts.kind, 'incremental')
  await assertSameFiles(scene, commit)
})

function ownBytes({ commit }: BackupResult): number {
  const own = commit.facts.packs.filter(({ key }) => key.includes(commit.facts.backup))
  return own.reduce((sum, pack) => sum + pack.sizeBytes, commit.manifest.sizeBytes)
}

/** Lays the backup out and compares it, byte for byte, with the files of the server, on which nothing happens. */
async function assertSameFiles(scene: BackupScene, commit: Commit): Promise<void> {
  await using directory = await createTestDirectory()
  const { files } = await layOutBackup(scene.repository, commit, directory.path)
  const different: string[] = []
  for (const { kind, path } of files) {
    if (kind === 'directory' || path === 'global/pg_control') continue
    const [restored, present] = await Promise.all(
      [join(directory.path, 'data'), scene.server.dataDirectory].map((root) => readFile(join(root, path))),
    )
    if (restored === undefined || present?.equals(restored) !== true) different.push(path)
  }
  assert.deepEqual(different, [])
}

/** Recovers what an independent reader of the format laid out, and checks all that can be checked in it. */
async function assertRestores(scene: BackupScene, commit: Commit): Promise<void> {
  const { server } = scene
  const expected = await digestTables(server.target)
  await using directory = await createTestDirectory()
  await layOutBackup(scene.repository, commit, directory.path)
  {
    await using _copy = await recoverCopy(scene, directory.path)
  }
  await checkPages(server.installation, join(directory.path, 'data'))
  await withRestoredCopy(server.installation, join(directory.path, 'data'), server.target, async (copy) => {
    assert.deepEqual(await digestTables(copy.target), expected)
    await checkTablesAndIndexes(copy)
  })
}
