import assert from 'node:assert/strict'
import { cp, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import type { BackupResult } from '../../../src/backup/take-backup.ts'
import { takeBackup } from '../../../src/backup/take-backup.ts'
import { startServer } from '../../../src/postgres/server.ts'
import { openSql, type Sql } from '../../../src/postgres/sql.ts'
import { listBackups } from '../../../src/repository/catalogue.ts'
import { announceCollection } from '../../../src/repository/collection-notes.ts'
import { expireBackups } from '../../../src/repository/expire-backups.ts'
import type { ManifestFile } from '../../../src/repository/core/manifest.ts'
import { packObject } from '../../../src/repository/core/object-names.ts'
import type { Commit } from '../../../src/repository/core/commit.ts'
import { verifyBackup } from '../../../src/repository/verify.ts'
import { planFromRepository } from '../../../src/restore/plan-from-repository.ts'
import { runRestore } from '../../../src/restore/run-restore.ts'
import { systemClock } from '../../../src/std/clock.ts'
import { createTestDirectory, testMajors } from '../../support/postgres.ts'
import { digestTables } from '../../support/table-digests.ts'
import { checkPages, checkTablesAndIndexes } from '../../support/restored-copy.ts'
import { type BackupScene, cluster, openBackupScene, recoverCopy } from './backup-scene.ts'
import { layOutBackup } from './lay-out-backup.ts'
import { startWalFeeder } from './wal-feeder.ts'

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
  // Its hint bits are set, those of the next are not.
  await sql.query('VACUUM ledger')
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
        // Later rounds touch every page of the big table.
        if (round === 0) assert.ok(result.changedBytes < facts.dataBytes / 4, `${result.changedBytes} bytes changed`)
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

test('law L6: a parent whose pack is gone is not built upon', { timeout: 120_000 }, async () => {
  await using scene = await openBackupScene({ parameters: quiet })
  const { commit } = await takeBackup(scene.request, { clock })
  await scene.repository.store.delete(packObject('main', commit.facts.backup, 0))
  const next = await takeBackup(scene.request, { clock })
  assert.deepEqual([next.commit.facts.kind, next.fullReason], ['full', 'parent-damaged'])
  assert.deepEqual((await verifyBackup(scene.repository, next.commit)).bad, [])
})

test('a parent that is being expired is not built upon', { timeout: 120_000 }, async () => {
  await using scene = await openBackupScene({ parameters: quiet })
  const { commit } = await takeBackup(scene.request, { clock })
  const note = { collection: 'of-another-node', backups: [commit.facts.backup], wal: [], leftovers: [] }
  await announceCollection(scene.repository, 'main', note)
  const next = await takeBackup(scene.request, { clock })
  assert.deepEqual([next.commit.facts.kind, next.fullReason], ['full', 'parent-expiring'])
})

test(
  'law L6: an incremental backup restores after the backups whose packs it shares have expired',
  {
    timeout: 120_000,
  },
  async () => {
    await using scene = await openBackupScene({ parameters: quiet })
    await using sql = await scene.server.sql()
    await createTables(sql)
    // What is unlogged is empty in a restored copy.
    await sql.query('DROP TABLE scratch')
    await takeBackup(scene.request, { clock })
    await sql.query('UPDATE ledger SET filler = reverse(filler) WHERE id % 500 = 0')
    const { commit } = await takeBackup(scene.request, { clock })
    assert.equal(commit.facts.kind, 'incremental')
    const policy = { days: 0, count: 1, daily: 0, weekly: 0, monthly: 0, yearly: 0 }
    await expireBackups(scene.repository, 'main', policy, { clock })
    const { backups } = await listBackups(scene.repository, 'main')
    assert.deepEqual(
      backups.map(({ facts }) => facts.backup),
      [commit.facts.backup],
    )
    assert.deepEqual((await verifyBackup(scene.repository, commit)).bad, [])
    await assertRestores(scene, commit)
  },
)

test('a database made anew under its old oid shares nothing with the old one', { timeout: 120_000 }, async () => {
  await using scene = await openBackupScene({ parameters: quiet })
  await using sql = await scene.server.sql()
  await sql.query('CREATE DATABASE apple STRATEGY file_copy')
  await sql.query('CREATE DATABASE pear STRATEGY file_copy OID = 77777')
  for (const [database, table] of [
    ['apple', 'red'],
    ['pear', 'ripe'],
  ] as const) {
    await using inside = await openSql({ ...scene.server.target, database })
    await inside.query(`CREATE TABLE ${table} AS SELECT generate_series(1, 10000) AS id`)
  }
  await takeBackup(scene.request, { clock })
  await sql.query('DROP DATABASE pear')
  await sql.query('CREATE DATABASE pear TEMPLATE apple STRATEGY file_copy OID = 77777')
  const { commit } = await takeBackup(scene.request, { clock })
  assert.equal(commit.facts.kind, 'incremental')
  await assertSameFiles(scene, commit)
})

test('a backup of another node goes on from one that lies before the fork', { timeout: 180_000 }, async () => {
  await using scene = await openBackupScene({ parameters: quiet, feedWal: false })
  const { server } = scene
  const another = join(server.directory, 'another')
  let common: BackupResult
  {
    await using _feeder = await startWalFeeder(server, scene.repository, cluster)
    await using sql = await server.sql()
    await createTables(sql)
    common = await takeBackup(scene.request, { clock, node: 'node1' })
    await sql.query('UPDATE ledger SET filler = upper(filler) WHERE id % 500 = 1')
  }
  await server.stop()
  await cp(server.dataDirectory, another, { recursive: true })
  await server.start()
  {
    await using _feeder = await startWalFeeder(server, scene.repository, cluster)
    await using sql = await server.sql()
    await sql.query('UPDATE ledger SET filler = lower(filler) WHERE id % 500 = 2')
    const lost = await takeBackup(scene.request, { clock, node: 'node1' })
    assert.equal(lost.commit.facts.parent, common.commit.facts.backup)
    await sql.query("SELECT pg_drop_replication_slot('feeder')")
  }
  await server.stop()
  await writeFile(join(another, 'standby.signal'), '')
  await using _running = await startServer(server.installation, another, {
    logFile: join(server.directory, 'another.log'),
    parameters: { fsync: 'off' },
    until: 'connections',
  })
  await using sql = await server.sql()
  await sql.query('SELECT pg_promote(true)')
  await sql.query('UPDATE ledger SET filler = reverse(filler) WHERE id % 500 = 3')
  await sql.query('CHECKPOINT')
  await using _feeder = await startWalFeeder({ ...server, dataDirectory: another }, scene.repository, cluster, 2)
  const { commit } = await takeBackup({ ...scene.request, dataDirectory: another }, { clock, node: 'node2' })
  assert.deepEqual([commit.facts.timeline, commit.facts.parent], [2, common.commit.facts.backup])
  await using directory = await createTestDirectory()
  const { files } = await layOutBackup(scene.repository, commit, directory.path)
  await assertSameAsServer(another, files, join(directory.path, 'data'))
})

function ownBytes({ commit }: BackupResult): number {
  const own = commit.facts.packs.filter(({ key }) => key.includes(commit.facts.backup))
  return own.reduce((sum, pack) => sum + pack.sizeBytes, commit.manifest.sizeBytes)
}

/** Lays the backup out and compares it with the server. */
async function assertSameFiles(scene: BackupScene, commit: Commit): Promise<void> {
  await using directory = await createTestDirectory()
  const { files } = await layOutBackup(scene.repository, commit, directory.path)
  await assertSameAsServer(scene.server.dataDirectory, files, join(directory.path, 'data'))
}

/** Compares files, byte for byte, with those of a server on which nothing happens. */
async function assertSameAsServer(
  dataDirectory: string,
  files: readonly ManifestFile[],
  restored: string,
): Promise<void> {
  const different: string[] = []
  for (const { kind, path } of files) {
    if (kind === 'directory' || path === 'global/pg_control') continue
    const bytes = await readFile(join(restored, path))
    if (!bytes.equals(await readFile(join(dataDirectory, path)))) different.push(path)
  }
  assert.deepEqual(different, [])
}

/** Restores with the product, then recovers what an independent reader of the format made of it, and checks that. */
async function assertRestores(scene: BackupScene, commit: Commit): Promise<void> {
  const { server, repository } = scene
  const expected = await digestTables(server.target)
  await using directory = await createTestDirectory()
  const request = { target: { kind: 'latest' }, timeline: 'latest', backupId: commit.facts.backup } as const
  const planned = await planFromRepository(repository, cluster, request)
  const targetDirectory = join(directory.path, 'product')
  await runRestore(repository, planned, { targetDirectory, workers: 2, clock })
  const { files } = await layOutBackup(repository, commit, directory.path)
  await assertSameAsServer(server.dataDirectory, files, targetDirectory)
  {
    await using _copy = await recoverCopy(scene, directory.path)
    const target = { ...server.target, host: directory.path }
    assert.deepEqual(await digestTables(target), expected)
    await checkTablesAndIndexes({ installation: server.installation, target, scratch: directory.path })
  }
  await checkPages(server.installation, join(directory.path, 'data'))
}
