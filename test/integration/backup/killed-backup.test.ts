import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { setTimeout as delay } from 'node:timers/promises'
import { test } from 'node:test'
import { takeBackup } from '../../../src/backup/take-backup.ts'
import { listBackups, readManifest } from '../../../src/repository/catalogue.ts'
import { openPack } from '../../../src/repository/pack-reader.ts'
import { systemClock as clock } from '../../../src/std/clock.ts'
import { openBackupScene, type BackupScene } from './backup-scene.ts'

const program = fileURLToPath(new URL('backup-program.ts', import.meta.url))

async function backUpAndKillAfter(scene: BackupScene, ms: number): Promise<{ readonly output: string }> {
  const { server, repositoryRoot } = scene
  const child = spawn(process.execPath, [program, String(server.port), server.dataDirectory, repositoryRoot], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let output = ''
  child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()))
  const closed = once(child, 'close')
  await once(child.stdout, 'data')
  await Promise.race([delay(ms), closed])
  child.kill('SIGKILL')
  await closed
  return { output }
}

test('L6: a backup killed at any moment leaves nothing listed that is not whole', { timeout: 180_000 }, async (t) => {
  await using scene = await openBackupScene()
  await using sql = await scene.server.sql()
  await sql.query('CREATE TABLE t AS SELECT id, repeat(md5(id::text), 10) AS filler FROM generate_series(1, 200000) id')
  let finished = 0
  for (let ms = 20; finished === 0 && ms < 5000; ms = Math.round(ms * 1.4)) {
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
