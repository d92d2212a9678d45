import assert from 'node:assert/strict'
import { open, readFile, symlink } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { backupFaults } from '../../../src/backup/faults.ts'
import { createChecksumKernel } from '../../../src/backup/page/checksum-kernel.ts'
import { checksumPage, pageBytes } from '../../../src/backup/page/checksum-page.ts'
import { scanPages } from '../../../src/backup/page/scan-pages.ts'
import { openServerSession } from '../../../src/backup/server-session.ts'
import { takeBackup } from '../../../src/backup/take-backup.ts'
import { listBackups } from '../../../src/repository/catalogue.ts'
import { repositoryFaults } from '../../../src/repository/faults.ts'
import { verifyBackup } from '../../../src/repository/verify.ts'
import { systemClock as clock } from '../../../src/std/clock.ts'
import { Fault } from '../../../src/std/fault.ts'
import { stdFaults } from '../../../src/std/faults.ts'
import type { ObjectStore } from '../../../src/store/object-store.ts'
import { createTestServer, testMajors } from '../../support/postgres.ts'
import { openBackupScene, type BackupScene } from './backup-scene.ts'
import { startWalFeeder } from './wal-feeder.ts'

async function backups(scene: BackupScene): Promise<number> {
  return (await listBackups(scene.repository, 'main')).backups.length
}

/** Kinds of objects below the cluster, but its WAL and the note of whose it is. */
async function remains(scene: BackupScene): Promise<string[]> {
  const kinds = new Set<string>()
  for await (const { key } of scene.repository.store.list('main/')) kinds.add(key.split('/')[1] ?? '')
  return [...kinds].filter((kind) => kind !== 'wal' && kind !== 'cluster.json').toSorted()
}

/** What stays of a backup that is given up, and how the next one does away with it. */
async function assertTakenOver(scene: BackupScene): Promise<void> {
  assert.deepEqual(await remains(scene), ['backups', 'packs', 'sessions'])
  assert.equal(await backups(scene), 0)
  const feeder = await startWalFeeder(scene.server, scene.repository, 'main')
  await using _feeder = feeder
  const { commit, takenOverBytes } = await takeBackup(scene.request, { clock, node: 'node1' })
  assert.ok(takenOverBytes > commit.facts.dataBytes / 2, `${takenOverBytes} of ${commit.facts.dataBytes}`)
  assert.deepEqual((await verifyBackup(scene.repository, commit)).bad, [])
  assert.deepEqual(await remains(scene), ['backups', 'packs'])
}

for (const installation of await testMajors()) {
  test(`checksums are those of a real server, PostgreSQL ${installation.version}`, { timeout: 60_000 }, async () => {
    await using server = await createTestServer({ installation })
    await using sql = await server.sql()
    await sql.query('CREATE TABLE t AS SELECT generate_series(1, 20000) AS id')
    await sql.query('CHECKPOINT')
    const [row] = await sql.query<{ path: string }>("SELECT pg_relation_filepath('t') AS path")
    const bytes = await readFile(join(server.dataDirectory, row?.path ?? ''))
    const count = bytes.length / pageBytes
    assert.ok(count > 50)
    const kernel = createChecksumKernel(count)
    kernel.pages.set(bytes)
    const expected = kernel.checksums(count, 0)
    assert.deepEqual(scanPages(kernel.pages, expected), [])
    assert.equal(checksumPage(bytes.subarray(0, pageBytes), 0), bytes.readUInt16LE(8))
    // From 16 on tables grow ahead by new pages, which are all zero and have no checksum.
    const written = Array.from({ length: count }, (_, page) => page).filter(
      (page) => bytes.readUInt16LE(page * pageBytes + 14) !== 0,
    )
    assert.deepEqual(scanPages(kernel.pages, kernel.checksums(count, 1)), written)
  })
}

test('a damaged page is named; the backup is done and says so', { timeout: 60_000 }, async () => {
  await using scene = await openBackupScene()
  await using sql = await scene.server.sql()
  await sql.query('CREATE TABLE t AS SELECT generate_series(1, 20000) AS id')
  const [row] = await sql.query<{ path: string }>("SELECT pg_relation_filepath('t') AS path")
  const path = row?.path ?? ''
  await sql.query('CHECKPOINT')
  await flip(join(scene.server.dataDirectory, path), 3 * pageBytes + 5000)
  await flip(join(scene.server.dataDirectory, path), 40 * pageBytes + 100)
  const result = await takeBackup(scene.request, { clock })
  const damagedPages = [
    { path, page: 3 },
    { path, page: 40 },
  ]
  assert.deepEqual(result.damagedPages, damagedPages)
  assert.deepEqual((await listBackups(scene.repository, 'main')).backups[0]?.facts.damagedPages, damagedPages)
})

test('a page that the backup’s WAL has whole is not damaged', { timeout: 60_000 }, async () => {
  await using scene = await openBackupScene()
  await using sql = await scene.server.sql()
  await sql.query('CREATE TABLE t AS SELECT id, 0 AS changes FROM generate_series(1, 20000) id')
  const [row] = await sql.query<{ path: string }>("SELECT pg_relation_filepath('t') AS path")
  const path = row?.path ?? ''
  // The server has the pages in memory, clean, so it does not notice what happens on disk.
  await sql.query('SELECT sum(id) FROM t')
  await sql.query('CHECKPOINT')
  for (const page of [3, 40]) await flip(join(scene.server.dataDirectory, path), page * pageBytes + 5000)
  let updated: Promise<unknown> | undefined
  const result = await takeBackup(scene.request, {
    clock,
    onProgress: (now) => {
      if (now.stage === 'copying') updated ??= sql.query("UPDATE t SET changes = 1 WHERE ctid = '(3,1)'")
    },
  })
  await updated
  assert.deepEqual(result.damagedPages, [{ path, page: 40 }])
  assert.equal(result.tornPages, 1)
})

async function flip(path: string, position: number): Promise<void> {
  await using file = await open(path, 'r+')
  const byte = Buffer.alloc(1)
  await file.read(byte, 0, 1, position)
  byte[0] = (byte[0] ?? 0) ^ 1
  await file.write(byte, 0, 1, position)
}

test('a server of another system is refused under the same cluster name', { timeout: 60_000 }, async () => {
  await using scene = await openBackupScene()
  await takeBackup(scene.request, { clock })
  await using other = await createTestServer()
  const foreign = { ...scene.request, target: other.target, dataDirectory: other.dataDirectory }
  await assert.rejects(takeBackup(foreign, { clock }), { kind: repositoryFaults['repository-cluster-mismatch'] })
  assert.equal(await backups(scene), 1)
})

test('a data directory that is not the server’s is refused, a link to it is not', { timeout: 60_000 }, async () => {
  await using scene = await openBackupScene()
  const wrong = { ...scene.request, dataDirectory: scene.server.directory }
  await assert.rejects(takeBackup(wrong, { clock }), { kind: backupFaults['backup-wrong-directory'] })
  const link = join(scene.server.directory, 'link')
  await symlink(scene.server.dataDirectory, link)
  await takeBackup({ ...scene.request, dataDirectory: link }, { clock })
  assert.equal(await backups(scene), 1)
})

test('a second backup at the same time is refused; the first goes on', { timeout: 60_000 }, async () => {
  await using scene = await openBackupScene()
  {
    await using _first = await openServerSession(scene.server.target, scene.server.dataDirectory)
    await assert.rejects(takeBackup(scene.request, { clock }), { kind: backupFaults['backup-already-running'] })
  }
  await takeBackup(scene.request, { clock })
})

test('a server that writes too little WAL is refused', { timeout: 60_000 }, async () => {
  await using scene = await openBackupScene({ feedWal: false })
  await scene.server.stop()
  await scene.server.start({ wal_level: 'minimal', max_wal_senders: '0' })
  await assert.rejects(takeBackup(scene.request, { clock }), { kind: backupFaults['backup-server-unfit'] })
})

test(
  'L6: without an archiver the backup is given up, and the next one goes on from it',
  { timeout: 60_000 },
  async () => {
    await using scene = await openBackupScene({ feedWal: false })
    const failed = takeBackup(scene.request, { clock, walStallMs: 500, node: 'node1' })
    await assert.rejects(failed, { kind: backupFaults['backup-wal-missing'] })
    await assertTakenOver(scene)
  },
)

test(
  'a signal ends a backup at any stage; nothing is listed, and the next one does away with what it left',
  { timeout: 120_000 },
  async () => {
    await using scene = await openBackupScene()
    for (const stage of ['starting', 'copying', 'waiting-for-wal', 'committing'] as const) {
      const stop = new AbortController()
      const reason = new Fault(stdFaults.interrupted, `Cannot go on: stopped at ${stage}`)
      const failed = takeBackup(scene.request, {
        clock,
        node: 'node1',
        signal: stop.signal,
        onProgress: (now) => {
          if (now.stage === stage) stop.abort(reason)
        },
      })
      await assert.rejects(failed, reason)
      assert.equal(await backups(scene), 0, stage)
      if (stage === 'starting') assert.deepEqual(await remains(scene), [])
    }
    const { commit, takenOverBytes } = await takeBackup(scene.request, { clock, node: 'node1' })
    assert.equal(await backups(scene), 1)
    assert.ok(takenOverBytes > 0)
    assert.deepEqual((await verifyBackup(scene.repository, commit)).bad, [])
    assert.deepEqual(await remains(scene), ['backups', 'packs'])
  },
)

test('a server that goes away ends the backup', { timeout: 60_000 }, async () => {
  await using scene = await openBackupScene()
  let stopped: Promise<void> | undefined
  const failed = takeBackup(scene.request, {
    clock,
    onProgress: (now) => {
      if (now.stage === 'copying') stopped ??= scene.server.stop('immediate')
    },
  })
  await assert.rejects(failed, { kind: backupFaults['backup-server-changed'] })
  await stopped
  assert.equal(await backups(scene), 0)
})

test('whichever write to the store fails, the fault is clear and nothing is listed', { timeout: 180_000 }, async () => {
  let failAt = Number.POSITIVE_INFINITY
  let writes = 0
  let failed = ''
  const full = new Fault(stdFaults['disk-full'], 'Cannot write: no space left')
  const decorate = (store: ObjectStore): ObjectStore => ({
    ...store,
    create: (key, body, options) => {
      writes += 1
      if (writes !== failAt) return store.create(key, body, options)
      failed = key
      return Promise.reject(full)
    },
  })
  await using scene = await openBackupScene({ decorate })
  await takeBackup(scene.request, { clock, workers: 1 })
  const needed = writes
  assert.ok(needed >= 4, `${needed} writes`)
  for (let n = 1; n <= needed; n++) {
    writes = 0
    failAt = n
    failed = ''
    const outcome: unknown = await takeBackup(scene.request, { clock, workers: 1 }).catch((error: unknown) => error)
    if (failed !== '') assert.equal(outcome, full)
    assert.equal(await backups(scene), failed === '' ? 2 : 1, `write ${n}`)
    if (failed === '') return
    // What fails once the manifest was begun keeps its packs, for the next one to take over; so that has less to write.
    const left = (await remains(scene)).includes('sessions')
    assert.equal(left, failed.startsWith('main/backups/'), `after write ${n}, of ${failed}`)
  }
  assert.fail('no backup came through')
})
