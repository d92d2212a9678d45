import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  chmod,
  cp,
  link,
  mkdir,
  open,
  readdir,
  readFile,
  rm,
  stat,
  symlink,
  truncate,
  utimes,
  writeFile,
} from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { after, before, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { postgresFaults } from '../../../src/postgres/faults.ts'
import { startServer } from '../../../src/postgres/server.ts'
import { withSql } from '../../../src/postgres/sql.ts'
import { readManifest } from '../../../src/repository/catalogue.ts'
import { createChunkHasher, hashChunks } from '../../../src/repository/chunk-hash.ts'
import { restoreFaults } from '../../../src/restore/faults.ts'
import { incompleteMarker, recoveryMarker } from '../../../src/restore/layout/restore-note.ts'
import type { PlannedRestore } from '../../../src/restore/plan-from-repository.ts'
import { recover } from '../../../src/restore/recover.ts'
import { runRestore } from '../../../src/restore/run-restore.ts'
import type { RestoreOptions, RestoreResult } from '../../../src/restore/run-restore.ts'
import { systemClock } from '../../../src/std/clock.ts'
import { isFault } from '../../../src/std/fault.ts'
import type { FaultKind } from '../../../src/std/fault.ts'
import { createTestServer, superuser } from '../../support/postgres.ts'
import { assertSameTree } from '../../support/same-tree.ts'
import { currentLsn, openArchiveScene, startArchiver } from '../archive/archive-scene.ts'
import type { ArchiveScene } from '../archive/archive-scene.ts'
import { backUp, plan } from './restore-scene.ts'

// A full and an incremental backup, a server that went on behind them, and what an empty directory becomes.
let scene: ArchiveScene
let first: PlannedRestore
let planned: PlannedRestore
let reference: string

before(async () => {
  scene = await openArchiveScene()
  await using sql = await scene.server.sql()
  await using archiver = startArchiver(scene)
  const fast = at('fast')
  await mkdir(fast)
  await sql.query(`CREATE TABLESPACE fast LOCATION '${fast}'`)
  await sql.query('CREATE TABLE t AS SELECT i AS x, repeat(md5(i::text), 8) AS filler FROM generate_series(1, 20000) i')
  await sql.query('CREATE INDEX ON t (filler)')
  await sql.query('CREATE TABLE f TABLESPACE fast AS SELECT x FROM t')
  const secret = join(scene.server.dataDirectory, 'server.key')
  await writeFile(secret, 'read only', { mode: 0o400 })
  await backUp(scene)
  const begun = await currentLsn(sql)
  await archiver.until(({ durableLsn = 0n }) => durableLsn >= begun)
  first = await plan(scene, { kind: 'immediate' })
  await sql.query('UPDATE t SET filler = md5(filler) WHERE x % 100 = 0')
  await sql.query('CHECKPOINT')
  await backUp(scene)
  await sql.query('DELETE FROM t WHERE x % 50 = 0')
  await sql.query('CREATE TABLE later AS SELECT * FROM t')
  await sql.query('VACUUM t')
  await sql.query('TRUNCATE f')
  const lsn = await currentLsn(sql)
  await archiver.until(({ durableLsn = 0n }) => durableLsn >= lsn)
  planned = await plan(scene, { kind: 'immediate' })
  assert.equal(planned.commit.facts.kind, 'incremental')
  await scene.server.stop()
  await restoreTo('reference')
  reference = at('reference')
  // As if it had been recovered.
  await rm(join(reference, recoveryMarker))
})

after(() => scene[Symbol.asyncDispose]())

const at = (name: string): string => join(scene.server.directory, name)

function restoreTo(name: string, options: Partial<RestoreOptions> = {}, which = planned): Promise<RestoreResult> {
  const usual = { targetDirectory: at(name), tablespacesInto: `${at(name)}-spaces`, workers: 2, clock: systemClock }
  return runRestore(scene.repository, which, { ...usual, ...options })
}

async function copyOf(directory: string, name: string): Promise<string> {
  await cp(directory, at(name), { recursive: true, preserveTimestamps: true, verbatimSymlinks: true })
  return at(name)
}

const isOf = (kind: FaultKind) => (error: unknown) => isFault(error, kind)

test('law: the manifest has the hash of every chunk that a restore lays out', async () => {
  const { chunkKey, files } = await readManifest(scene.repository, planned.commit)
  const hash = createChunkHasher(chunkKey ?? assert.fail())
  let compared = 0
  for (const file of files) {
    if (file.kind === 'directory' || file.hashes === undefined) continue
    const expected = Buffer.from(file.hashes, 'base64')
    assert.ok(expected.equals(hashChunks(hash, await readFile(join(reference, file.path)))), file.path)
    compared += 1
  }
  assert.ok(compared > 500)
})

test('what is right already is neither fetched nor written', async () => {
  await restoreTo('intact')
  const before = await stat(join(at('intact'), 'PG_VERSION'))
  const { bytes, fetchedBytes } = await restoreTo('intact', { delta: true })
  assert.deepEqual([bytes, (await stat(join(at('intact'), 'PG_VERSION'))).ino], [8192, before.ino])
  assert.ok(fetchedBytes < 20_000, `${fetchedBytes} bytes were fetched`)
  await assertSameTree(at('intact'), reference)
})

test('the directory of the server itself, which went on after the backup, becomes the backup', async () => {
  await copyOf(scene.server.dataDirectory, 'went-on')
  const original = await readdir(at('fast'), { recursive: true })
  const { bytes, keptBytes, removedFiles } = await restoreTo('went-on', { delta: true })
  assert.ok(bytes < keptBytes && removedFiles > 0, `${bytes} of ${bytes + keptBytes} bytes were written`)
  await assertSameTree(at('went-on'), reference)
  // Its link led to the tablespace of the original.
  assert.deepEqual(await readdir(at('fast'), { recursive: true }), original)
})

test('a copy that went its own way on another timeline becomes the backup', async () => {
  await restoreTo('diverged', {}, first)
  {
    const { installation } = scene.server
    const usual = { installation, dataDirectory: at('diverged'), superuser, clock: systemClock } as const
    await using recovered = await recover(scene.repository, first, { ...usual, action: 'promote' })
    await withSql(recovered.connection ?? assert.fail(), {}, async (sql) => {
      await sql.query('UPDATE t SET filler = md5(filler) WHERE x % 70 = 0')
      await sql.query('CREATE TABLE other AS SELECT * FROM t')
    })
  }
  await restoreTo('diverged', { delta: true })
  await assertSameTree(at('diverged'), reference)
})

test('damage of any kind is found, whatever times and LSNs say', async () => {
  const directory = await copyOf(reference, 'damaged')
  const { files } = await readManifest(scene.repository, planned.commit)
  const big = files.filter((file) => file.kind === 'pages' && file.sizeBytes > 600_000 && file.path.startsWith('base'))
  const [flipped, longer, shorter, shared] = big.map(({ path }) => join(directory, path))
  assert.ok(flipped !== undefined && longer !== undefined && shorter !== undefined && shared !== undefined)
  const { atime, mtime } = await stat(flipped)
  {
    // The special space of a page: no checksum of a page that is read would be asked for a copy by time and size.
    await using file = await open(flipped, 'r+')
    await file.write(Buffer.from('#'), 0, 1, 300_000)
  }
  await utimes(flipped, atime, mtime)
  await writeFile(longer, 'x'.repeat(9000), { flag: 'a' })
  await truncate(shorter, 12_345)
  await rm(join(directory, 'pg_xact'), { recursive: true })
  await chmod(join(directory, 'PG_VERSION'), 0o644)
  await writeFile(join(directory, 'base', 'stranger'), 'x')
  await mkdir(join(directory, 'log'))
  await link(shared, at('linked'))
  const before = await readFile(at('linked'))
  await rm(join(directory, 'pg_wal'), { recursive: true })
  await symlink(at('fast'), join(directory, 'pg_wal'))
  const { bytes } = await restoreTo('damaged', { delta: true })
  assert.ok(bytes < 10_000_000)
  await assertSameTree(directory, reference)
  assert.ok(before.equals(await readFile(at('linked'))), 'another name of a file saw the restore')
})

test('law L7: killed at any moment it leaves nothing that starts, and run again it goes on', async () => {
  const program = fileURLToPath(new URL('restore-program.ts', import.meta.url))
  const moments = ['preparing 1', 'comparing 1', 'comparing 4', 'writing 1', 'writing 3', 'syncing 1', 'writing 5']
  for (const moment of moments) {
    await copyOf(scene.server.dataDirectory, 'killed')
    const words = [program, scene.repositoryRoot, at('killed')]
    const child = spawn(process.execPath, words, { stdio: ['ignore', 'pipe', 'inherit'] })
    const ended = once(child, 'exit')
    const told = new Map<string, number>()
    for await (const stage of createInterface(child.stdout)) {
      told.set(stage, (told.get(stage) ?? 0) + 1)
      if (`${stage} ${told.get(stage)}` === moment) child.kill('SIGKILL')
    }
    const [, killedBy] = (await ended) as [number | null, string | null]
    const names = await readdir(at('killed'))
    const control = await stat(join(at('killed'), 'global', 'pg_control')).catch(() => undefined)
    const isUntouched = names.includes('postmaster.opts') && !names.includes(incompleteMarker)
    if (control !== undefined && killedBy !== null) assert.ok(isUntouched || names.includes(incompleteMarker), moment)
    // Without --delta: what is there is known to be a restore of this cluster.
    const { keptBytes } = await restoreTo('killed', { delta: isUntouched })
    assert.ok(keptBytes > 0)
    await assertSameTree(at('killed'), reference)
    await rm(at('killed'), { recursive: true })
    await rm(`${at('killed')}-spaces`, { recursive: true, force: true })
  }
})

test('what must not be overwritten is refused and left alone', async () => {
  await using other = await createTestServer({})
  await other.stop()
  const foreign = other.dataDirectory
  const before = await readdir(foreign)
  const onto = (targetDirectory: string, delta = true): Promise<RestoreResult> =>
    restoreTo('x', { targetDirectory, delta })
  await assert.rejects(onto(foreign), isOf(postgresFaults['postgres-foreign-system']))
  await assert.rejects(onto(reference, false), isOf(restoreFaults['restore-directory-not-empty']))
  await mkdir(at('letters'))
  await writeFile(join(at('letters'), 'letter'), 'Dear')
  await assert.rejects(onto(at('letters')), isOf(postgresFaults['postgres-no-data-directory']))
  assert.deepEqual([await readdir(foreign), await readdir(at('letters'))], [before, ['letter']])
  const running = await copyOf(scene.server.dataDirectory, 'running')
  const parameters = { listen_addresses: '', unix_socket_directories: scene.server.directory }
  const options = { logFile: at('running.log'), parameters }
  await using _server = await startServer(scene.server.installation, running, options)
  await assert.rejects(onto(running), isOf(postgresFaults['postgres-already-running']))
})

test('two restores into one directory at the same time: one is refused', async () => {
  const both = await Promise.allSettled([restoreTo('twice'), restoreTo('twice')])
  const refused = both.filter((one) => one.status === 'rejected')
  assert.equal(refused.length, 1)
  assert.ok(isOf(restoreFaults['restore-directory-in-use'])(refused[0]?.reason), String(refused[0]?.reason))
  await assertSameTree(at('twice'), reference)
})
