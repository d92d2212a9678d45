import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { backupFaults } from '../../../src/backup/faults.ts'
import { takeBackup, type BackupOptions, type BackupResult } from '../../../src/backup/take-backup.ts'
import { requestPromotion } from '../../../src/postgres/postmaster.ts'
import { openSql, type Sql } from '../../../src/postgres/sql.ts'
import { listBackups } from '../../../src/repository/catalogue.ts'
import type { Commit } from '../../../src/repository/core/commit.ts'
import { verifyBackup } from '../../../src/repository/verify.ts'
import { systemClock as clock } from '../../../src/std/clock.ts'
import { createTestDirectory } from '../../support/postgres.ts'
import { digestTables } from '../../support/table-digests.ts'
import { startStandby, type Standby } from '../replication/standby.ts'
import { type BackupScene, cluster, openBackupScene, recoverCopy } from './backup-scene.ts'
import { layOutBackup } from './lay-out-backup.ts'

let scene: BackupScene
let standby: Standby
let sql: Sql
let beforePack = async (): Promise<void> => {}

before(async () => {
  scene = await openBackupScene({
    parameters: { checkpoint_timeout: '1h' },
    decorate: (store) => ({
      ...store,
      create: async (key, body, options) => {
        if (key.includes('/packs/')) await beforePack()
        return await store.create(key, body, options)
      },
    }),
  })
  sql = await scene.server.sql()
  await sql.query(
    'CREATE TABLE ledger AS SELECT n AS id, repeat(md5(n::text), 20) AS filler FROM generate_series(1, 40000) n',
  )
  await sql.query('CREATE TABLE churn AS SELECT id, md5(id::text) AS filler FROM generate_series(1, 50000) id')
  await sql.query('CREATE INDEX ON churn (filler)')
  standby = await startStandby(scene.server, 'beside')
})
after(async () => {
  await sql?.close()
  await standby?.[Symbol.asyncDispose]()
  await scene?.[Symbol.asyncDispose]()
})

const fromStandby = (options: Partial<BackupOptions> = {}): Promise<BackupResult> =>
  takeBackup(
    { ...scene.request, target: standby.target, dataDirectory: standby.dataDirectory },
    { clock, node: 'beside', ...options },
  )

/** Writes on the primary until disposed. */
function startWriting(): AsyncDisposable {
  const stop = new AbortController()
  const writing = (async () => {
    await using writer = await scene.server.sql()
    for (let round = 0; !stop.signal.aborted; round++) {
      await writer.query('UPDATE churn SET filler = md5(random()::text) WHERE id % 50 = $1::int % 50', [round])
      await writer.query('INSERT INTO ledger SELECT $1::int + n, md5(n::text) FROM generate_series(1, 50) n', [
        round * 50,
      ])
    }
  })()
  return {
    [Symbol.asyncDispose]: async () => {
      stop.abort()
      await writing
    },
  }
}

/** Recovers a backup alone, to its own end, and looks at every page and index in it. */
async function assertRecovers(commit: Commit): Promise<Awaited<ReturnType<typeof digestTables>>> {
  assert.deepEqual((await verifyBackup(scene.repository, commit)).bad, [])
  await using directory = await createTestDirectory()
  await layOutBackup(scene.repository, commit, directory.path)
  await using copy = await recoverCopy(scene, directory.path, { port: String(scene.server.port) })
  await copy.sql.query('CREATE EXTENSION IF NOT EXISTS amcheck')
  await copy.sql.query(`SELECT bt_index_check(indexrelid, true) FROM pg_index WHERE indrelid = 'churn'::regclass`)
  return await digestTables({ ...scene.server.target, host: directory.path })
}

test('a backup of a standby whose primary is busy recovers alone, and to what it had when it ended', async () => {
  let full: BackupResult
  {
    await using _writer = startWriting()
    full = await fromStandby()
  }
  const { facts } = full.commit
  assert.deepEqual([facts.role, facts.kind, facts.node], ['standby', 'full', 'beside'])
  assert.deepEqual(full.damagedPages, [])
  await assertRecovers(full.commit)
})

test('incremental backups go on from those of another node, in both directions', async () => {
  await sql.query('UPDATE churn SET filler = upper(filler) WHERE id % 20 = 0')
  const onPrimary = await takeBackup(scene.request, { clock, node: 'test' })
  assert.deepEqual([onPrimary.commit.facts.role, onPrimary.commit.facts.kind], ['primary', 'incremental'])
  await sql.query('UPDATE churn SET filler = lower(filler) WHERE id % 30 = 0')
  const onStandby = await fromStandby()
  assert.deepEqual([onStandby.commit.facts.parent, onStandby.fullReason], [onPrimary.commit.facts.backup, undefined])
  assert.ok(onStandby.changedBytes < onStandby.commit.facts.dataBytes / 2, `${onStandby.changedBytes} bytes changed`)
  await sql.query('UPDATE ledger SET filler = upper(filler) WHERE id % 100 = 0')
  const again = await takeBackup(scene.request, { clock, node: 'test' })
  assert.equal(again.commit.facts.parent, onStandby.commit.facts.backup)
  // What the copies have is what the primary had: nothing was written meanwhile.
  const expected = await digestTables(scene.server.target)
  assert.deepEqual(await assertRecovers(again.commit), expected)
  // The same node, nothing changed: next to nothing is read.
  let last = await fromStandby()
  for (let time = 0; time < 6 && last.changedBytes >= 2_000_000; time++) {
    await sql.query('SELECT pg_sleep(3.5)')
    last = await fromStandby()
  }
  assert.ok(last.changedBytes < 2_000_000, `${last.changedBytes} bytes changed`)
  assert.deepEqual(await assertRecovers(last.commit), expected)
})

test('a standby of a primary that writes no whole pages is refused', async () => {
  await sql.query('ALTER SYSTEM SET full_page_writes = off')
  await sql.query('SELECT pg_reload_conf()')
  try {
    await sql.query('CHECKPOINT')
    await sql.query('UPDATE churn SET filler = md5(filler) WHERE id % 100 = 1')
    await assert.rejects(fromStandby(), { kind: backupFaults['backup-server-unfit'] })
  } finally {
    await sql.query('ALTER SYSTEM RESET full_page_writes')
    await sql.query('SELECT pg_reload_conf()')
    await sql.query('CHECKPOINT')
  }
})

test('a standby that is promoted while it is copied ends the backup; the next one uses what was stored', async () => {
  const before = (await listBackups(scene.repository, cluster)).backups.length
  let promoted: Promise<void> | undefined
  beforePack = async () => await (promoted ??= promote())
  const failed = fromStandby({ full: true })
  await assert.rejects(failed, (error: Error & { kind?: unknown }) => {
    assert.equal(error.kind, backupFaults['backup-server-changed'])
    assert.match(error.message, /promoted/)
    return true
  })
  beforePack = async () => {}
  assert.equal((await listBackups(scene.repository, cluster)).backups.length, before)
  const next = await takeBackup(scene.request, { clock, node: 'test', full: true })
  assert.ok(next.takenOverBytes > next.commit.facts.dataBytes / 4, `${next.takenOverBytes} bytes taken over`)
  assert.deepEqual(await assertRecovers(next.commit), await digestTables(scene.server.target))
})

async function promote(): Promise<void> {
  await requestPromotion(standby.dataDirectory)
  await using watch = await openSql(standby.target)
  for (;;) {
    const [row] = await watch.query<{ recovering: boolean }>('SELECT pg_is_in_recovery() AS recovering')
    if (row?.recovering === false) return
    await watch.query('SELECT pg_sleep(0.05)')
  }
}
