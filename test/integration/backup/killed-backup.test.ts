import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { setTimeout as delay } from 'node:timers/promises'
import { test } from 'node:test'
import { takeBackup } from '../../../src/backup/take-backup.ts'
import { listBackups, readManifest } from '../../../src/repository/catalogue.ts'
import { expireBackups } from '../../../src/repository/expire-backups.ts'
import { openPack } from '../../../src/repository/pack-reader.ts'
import { verifyBackup } from '../../../src/repository/verify.ts'
import { systemClock as clock, type EpochMs } from '../../../src/std/clock.ts'
import { createTestDirectory } from '../../support/postgres.ts'
import { digestTables } from '../../support/table-digests.ts'
import { cluster, openBackupScene, recoverCopy, type BackupScene } from './backup-scene.ts'
import { layOutBackup } from './lay-out-backup.ts'
import { startWalFeeder } from './wal-feeder.ts'

const program = fileURLToPath(new URL('backup-program.ts', import.meta.url))

async function backUpAndKillAfter(
  scene: BackupScene,
  patience: number | Promise<unknown>,
): Promise<{ readonly output: string }> {
  const { server, repositoryRoot } = scene
  const child = spawn(process.execPath, [program, String(server.port), server.dataDirectory, repositoryRoot], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let output = ''
  child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()))
  const closed = once(child, 'close')
  await once(child.stdout, 'data')
  await Promise.race([typeof patience === 'number' ? delay(patience) : patience, closed])
  child.kill('SIGKILL')
  await closed
  return { output }
}

test('L6: a backup killed at any moment leaves nothing listed that is not whole', { timeout: 180_000 }, async (t) => {
  await using scene = await openBackupScene()
  await using sql = await scene.server.sql()
  await sql.query('CREATE TABLE t AS SELECT id, repeat(md5(id::text), 10) AS filler FROM generate_series(1, 200000) id')
  let finished = 0
  for (let ms = 20; finished === 0 && ms < 60_000; ms = Math.round(ms * 1.5)) {
    const { output } = await backUpAndKillAfter(scene, ms)
    if (output.split('\n').length > 2) finished += 1
    const { backups, damaged } = await listBackups(scene.repository, 'main')
    assert.deepEqual(damaged, [])
    assert.ok(backups.length >= finished)
    if (finished === 0 && backups.length > 0) t.diagnostic(`killed between commit and report after ${ms} ms`)
    for (const commit of backups) {
      const { facts } = await readManifest(scene.repository, commit)
      for (const pack of facts.packs)
        openPack(scene.repository.keyring, pack.key, await scene.repository.store.read(pack.key), pack)
    }
  }
  assert.equal(finished, 1, 'no backup came through')
  const { commit } = await takeBackup(scene.request, { clock })
  const listed = (await listBackups(scene.repository, 'main')).backups
  assert.equal(listed.at(-1)?.facts.backup, commit.facts.backup)
})

test('L6: what a killed backup has stored need not be copied again, and restores', { timeout: 180_000 }, async () => {
  // Without WAL in the repository a backup waits for it when everything is copied.
  await using scene = await openBackupScene({ feedWal: false })
  await using sql = await scene.server.sql()
  await sql.query('CREATE TABLE t AS SELECT id, repeat(md5(id::text), 10) AS filler FROM generate_series(1, 100000) id')
  await sql.query('VACUUM t')
  for (let kill = 0; kill < 2; kill++) await backUpAndKillAfter(scene, copiedAll(scene, kill))
  await sql.query('UPDATE t SET filler = reverse(filler) WHERE id % 1000 = 0')
  const expected = await digestTables(scene.server.target)
  await using _feeder = await startWalFeeder(scene.server, scene.repository, cluster)
  const { commit, takenOverBytes } = await takeBackup(scene.request, { clock })
  const { dataBytes } = commit.facts
  assert.ok(takenOverBytes > 0.5 * dataBytes && takenOverBytes < dataBytes, `${takenOverBytes} of ${dataBytes}`)
  assert.deepEqual((await verifyBackup(scene.repository, commit)).bad, [])
  const next = await takeBackup(scene.request, { clock })
  assert.deepEqual([next.commit.facts.kind, next.takenOverBytes], ['incremental', 0])
  // Both restore alone, also when nothing is left of the dead ones but what is used of them.
  await expireBackups(scene.repository, cluster, policy, { clock: { wall: () => inFourDays() } })
  for (const each of [commit, next.commit]) {
    await using directory = await createTestDirectory()
    await layOutBackup(scene.repository, each, directory.path)
    await using _copy = await recoverCopy(scene, directory.path)
    assert.deepEqual(await digestTables({ ...scene.server.target, host: directory.path }), expected)
  }
})

const policy = { days: 0, count: 2, daily: 0, weekly: 0, monthly: 0, yearly: 0 }
const inFourDays = (): EpochMs => (clock.wall() + 4 * 86_400_000) as EpochMs

/** Resolves when `global/pg_control`, which is the last, of so many backups is stored. */
async function copiedAll({ repository }: BackupScene, before: number): Promise<void> {
  const seen = new Set<string>()
  while (seen.size <= before) {
    for await (const { key } of repository.store.list(`${cluster}/packs/`)) {
      if (seen.has(key.slice(0, -7))) continue
      const pack = openPack(repository.keyring, key, await repository.store.read(key))
      if (pack.records.some(({ meta }) => 'path' in meta && meta.path === 'global/pg_control'))
        seen.add(key.slice(0, -7))
    }
    await delay(50)
  }
}
