import assert from 'node:assert/strict'
import { copyFile, readFile, readdir, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { Secret } from '../../../src/std/secret.ts'
import { addNoise, flip, openDumpScene, recordOf } from './dump-scene.ts'
import type { DumpScene } from './dump-scene.ts'

let scene: DumpScene
before(async () => {
  scene = await openDumpScene()
  await addNoise(scene)
})
after(() => scene[Symbol.asyncDispose]())

async function databases(): Promise<number> {
  const rows = await scene.inDatabase('postgres', (sql) => sql.query('SELECT FROM pg_database'))
  return rows.length
}

test('a dump that is cut, altered or not for this key is refused by name, and no database is made of it', async () => {
  const before = await databases()
  for (const content of ['custom', 'plain'] as const) {
    const { file } = recordOf(await scene.dump({ content }), 'app')
    const original = join(scene.dumps, file)
    await assert.rejects(scene.load(original, undefined, { passphrase: new Secret('wrong') }), {
      code: 'dump-wrong-key',
    })
    for (const withChecksum of [true, false]) {
      const bad = join(scene.dumps, `bad-${withChecksum}-${file}`)
      const spoil = async (how: () => Promise<void>): Promise<void> => {
        await copyFile(original, bad)
        if (withChecksum) await copyFile(`${original}.sha256`, `${bad}.sha256`)
        await how()
        await assert.rejects(scene.load(bad, 'bad', { create: true }), { code: 'dump-damaged', message: /bad-/ })
      }
      const { length } = await readFile(original)
      for (const share of [0.3, 0.7, 0.999]) await spoil(() => flip(bad, share))
      for (const bytes of [length - 1, length / 2, 300]) await spoil(() => truncate(bad, Math.floor(bytes)))
    }
  }
  assert.equal(await databases(), before)
})

test('nothing is loaded over anything', async () => {
  const path = join(scene.dumps, recordOf(await scene.dump(), 'app').file)
  await assert.rejects(scene.load(path, 'app'), { code: 'dump-target-occupied' })
  await assert.rejects(scene.load(path, 'app', { create: true }), { code: 'dump-target-occupied' })
  await assert.rejects(scene.load(path, 'nowhere'), { code: 'dump-target-missing' })
  await assert.rejects(scene.load(join(scene.dumps, 'nothing.gpg')), { code: 'dump-not-found' })
})

test('what fails in the middle leaves the database as it was: empty, or not there', async () => {
  await scene.inDatabase('postgres', (sql) => sql.query('CREATE DATABASE waiting'))
  const made = scene.shell(`
    printf 'CREATE TABLE a (x int);\\nSELECT 1/0;\\n' | gpg --symmetric -o fails.sql.gpg
    psql -q -d waiting -c 'CREATE EXTENSION IF NOT EXISTS plpgsql'
    createdb clash && psql -q -d clash -c 'CREATE TABLE b (x int); CREATE TABLE c (x int)'
    pg_dump -Fc clash | gpg --symmetric -o clash.dump.gpg`)
  assert.equal(made.code, 0, made.stderr)
  const path = join(scene.dumps, 'fails.sql.gpg')
  const failed = { code: 'dump-load-failed', message: /division by zero/ }
  const before = await databases()
  await assert.rejects(scene.load(path, 'waiting'), failed)
  await assert.rejects(scene.load(path, 'made', { create: true }), failed)
  await assert.rejects(scene.load(path), failed)
  assert.equal(await databases(), before)
  assert.equal((await scene.load(join(scene.dumps, 'clash.dump.gpg'), 'waiting')).tables, 2)
})

test('pg_dump that dies midway leaves nothing, and the other databases are dumped all the same', async () => {
  let killed: Promise<unknown> | undefined
  const onProgress = (file: string): void => {
    if (!file.startsWith('noise-')) return
    killed ??= scene.inDatabase('postgres', (sql) =>
      sql.query(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'holdfast dump'`),
    )
  }
  const outcomes = await scene.dump({ database: undefined }, { onProgress })
  assert.ok(killed !== undefined)
  await killed
  const failed = outcomes.filter((one) => one.outcome === 'failed')
  assert.deepEqual(
    failed.map(({ database }) => database),
    ['noise'],
  )
  assert.equal(failed[0]?.fault.code, 'dump-failed')
  assert.ok(recordOf(outcomes, 'postgres').sizeBytes > 0)
  assert.deepEqual(
    (await readdir(scene.dumps)).filter((name) => name.includes('noise')),
    [],
  )
})

test('an aborted dump or load leaves nothing, and its reason comes back', async () => {
  const controller = new AbortController()
  const reason = new Error('enough')
  const onProgress = (file: string): void => {
    if (file.startsWith('noise-')) controller.abort(reason)
  }
  await assert.rejects(scene.dump({ database: 'noise' }, { onProgress, signal: controller.signal }), reason)
  assert.deepEqual(
    (await readdir(scene.dumps)).filter((name) => name.includes('noise')),
    [],
  )
  const path = join(scene.dumps, recordOf(await scene.dump({ database: 'noise' }), 'noise').file)
  const before = await databases()
  const stop = new AbortController()
  const loading = scene.load(path, undefined, { signal: stop.signal })
  await scene.inDatabase('postgres', async (sql) => {
    const query = `SELECT FROM pg_stat_activity WHERE application_name = 'holdfast dump'`
    while ((await sql.query(query)).length === 0);
  })
  stop.abort(reason)
  await assert.rejects(loading, reason)
  assert.equal(await databases(), before)
})

test('without the programs, and without a place, it says so before anything else', async () => {
  const embedded = scene.installations.filter(({ source }) => source === 'embedded')
  await assert.rejects(scene.dump({ installations: embedded }), { code: 'dump-tools-missing', message: /pg_dump/ })
  await assert.rejects(scene.dump({ recipients: {} }), { code: 'dump-no-key' })
  await writeFile(join(scene.dumps, 'text.gpg'), 'no message\n')
  await assert.rejects(scene.load(join(scene.dumps, 'text.gpg')), { code: 'dump-damaged' })
})
