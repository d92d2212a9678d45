import assert from 'node:assert/strict'
import { readFile, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { openFileSource, openRepositorySource } from '../../../src/backup/dump/dump-source.ts'
import { inspectDump } from '../../../src/backup/dump/inspect-dump.ts'
import { listDumps } from '../../../src/backup/dump/list-dumps.ts'
import { loadDump } from '../../../src/backup/dump/load-dump.ts'
import { loadGlobals } from '../../../src/backup/dump/load-globals.ts'
import { openRepositorySink } from '../../../src/backup/dump/repository-sink.ts'
import { createRepository } from '../../../src/repository/repository.ts'
import { systemClock } from '../../../src/std/clock.ts'
import { openFileSystemStore } from '../../../src/store/file-system-store.ts'
import { createTestServer } from '../../support/postgres.ts'
import { contentOf, openDumpScene, passphrase, recordOf } from './dump-scene.ts'
import type { DumpScene } from './dump-scene.ts'

let scene: DumpScene
before(async () => {
  scene = await openDumpScene()
})
after(() => scene[Symbol.asyncDispose]())

test('a database comes back from a dump of either format, with its owners, large objects and sequences', async () => {
  const original = await contentOf(scene, 'app')
  for (const content of ['custom', 'plain'] as const) {
    const record = recordOf(await scene.dump({ content }), 'app')
    assert.equal(record.tables, 3)
    const path = join(scene.dumps, record.file)
    const rehearsed = await scene.load(path)
    assert.deepEqual(
      { ...rehearsed, databaseBytes: 0 },
      { database: null, tables: 3, expectedTables: 3, databaseBytes: 0 },
    )
    const loaded = await scene.load(path, `copy_${content}`, { create: true })
    assert.equal(loaded.tables, 3)
    assert.equal(loaded.expectedTables, 3)
    const [orders, parted, , owner, large] = (await contentOf(scene, `copy_${content}`)) as unknown[]
    assert.deepEqual(
      [orders, parted, owner, large],
      (original as unknown[]).filter((_, index) => index !== 2),
    )
  }
  assert.deepEqual(await databases(scene), ["Odd 'name' = x", 'app', 'copy_custom', 'copy_plain', 'postgres'])
})

async function databases(of: DumpScene): Promise<readonly string[]> {
  const rows = await of.inDatabase('postgres', (sql) =>
    sql.query<{ name: string }>('SELECT datname::text AS name FROM pg_database WHERE NOT datistemplate ORDER BY 1'),
  )
  return rows.map(({ name }) => name)
}

test('what lies in the directory is what sha256sum, gpg, pg_restore and psql take, and nothing else', async () => {
  const record = recordOf(await scene.dump(), 'app')
  const plain = recordOf(await scene.dump({ content: 'plain' }), 'app')
  const names = await readdir(scene.dumps)
  assert.deepEqual(
    names.filter((name) => name.startsWith('.')),
    [],
  )
  for (const file of [record.file, plain.file]) {
    assert.deepEqual(names.filter((name) => name.startsWith(file)).toSorted(), [file, `${file}.json`, `${file}.sha256`])
  }
  const result = scene.shell(`
    sha256sum --quiet -c *.sha256
    createdb by_hand && gpg -d ${record.file} | pg_restore --exit-on-error -d by_hand
    createdb by_psql && gpg -d ${plain.file} | psql -q -v ON_ERROR_STOP=1 -d by_psql > /dev/null`)
  assert.equal(result.code, 0, result.stderr)
  const rows = (database: string): Promise<unknown> =>
    scene.inDatabase(database, (sql) =>
      sql.query('SELECT count(*), sum(hashtextextended(o::text, 0)) FROM sales.orders o'),
    )
  assert.deepEqual(await rows('by_hand'), await rows('app'))
  assert.deepEqual(await rows('by_psql'), await rows('app'))
  const json = JSON.parse(await readFile(join(scene.dumps, `${record.file}.json`), 'utf8')) as Record<string, unknown>
  assert.equal(json['outcome'], 'ok')
  assert.equal(json['database'], 'app')
})

test('every database is dumped, also one with a name that no file can have, and the roles', async () => {
  const outcomes = await scene.dump({ database: undefined })
  assert.ok(outcomes.every(({ outcome }) => outcome === 'ok'))
  assert.equal(recordOf(outcomes, null).content, 'plain')
  const odd = recordOf(outcomes, "Odd 'name' = x")
  assert.match(odd.file, /^Odd__name____x-[0-9a-f]{8}-\d{8}T\d{6}Z-[0-9a-f]{8}\.dump\.gpg$/)
  assert.equal((await scene.load(join(scene.dumps, odd.file), "new 'odd' = y", { create: true })).tables, 0)
})

test('roles are created on another server, and those that are there keep their passwords', async () => {
  const outcomes = await scene.dump()
  const access = { passphrase }
  const open = async (database: string | null): ReturnType<typeof inspectDump> =>
    inspectDump(await openFileSource(join(scene.dumps, recordOf(outcomes, database).file)), access)
  await using other = await createTestServer({ installation: scene.server.installation })
  const { installations } = scene
  const dump = await open('app')
  const load = { dump, target: other.target, installations, into: 'app', create: true }
  await assert.rejects(loadDump(load), { code: 'dump-load-failed', message: /role "app_owner" does not exist/ })
  await using sql = await other.sql()
  const password = 'SELECT rolpassword FROM pg_authid WHERE rolname = $1'
  const [mine] = await sql.query(password, ['postgres'])
  const globals = await open(null)
  const loaded = await loadGlobals(globals, other.target, { installations })
  assert.deepEqual(loaded.createdRoles, ['Odd "Role', 'app_owner'])
  assert.deepEqual(await sql.query(password, ['postgres']), [mine])
  const theirs = await scene.inDatabase('postgres', (source) => source.query(password, ['app_owner']))
  assert.deepEqual(await sql.query(password, ['app_owner']), theirs)
  assert.deepEqual((await loadGlobals(globals, other.target, { installations })).createdRoles, [])
  assert.equal((await loadDump(load)).tables, 3)
  await assert.rejects(loadGlobals(dump, other.target, { installations }), { code: 'dump-format-unsupported' })
})

test('dumps in a repository: listed, loaded, in parts where they are large, opened by gpg', async () => {
  const root = join(scene.server.directory, 'repository')
  await using store = await openFileSystemStore({ root, createRoot: true, clock: systemClock })
  const repository = await createRepository(store, { passphrase, clock: systemClock })
  await scene.inDatabase("Odd 'name' = x", async (sql) => {
    await sql.query('CREATE TABLE noise (b bytea)')
    await sql.query('ALTER TABLE noise ALTER b SET STORAGE EXTERNAL')
    await sql.query(
      `INSERT INTO noise SELECT (SELECT string_agg(sha256((g || '-' || i)::text::bytea), '') FROM generate_series(1, 8192) i)
       FROM generate_series(1, 150) g`,
    )
  })
  const outcomes = await scene.dump({ database: undefined, sink: openRepositorySink(repository, 'main') })
  const large = recordOf(outcomes, "Odd 'name' = x")
  assert.equal(large.parts, Math.ceil(large.sizeBytes / (32 << 20)))
  assert.ok(large.parts > 1)
  const listed = await listDumps(repository, 'main')
  assert.deepEqual(listed.damaged, [])
  assert.deepEqual(listed.dumps.map(({ file }) => file).toSorted(), outcomes.map(fileOf).toSorted())
  for (const { file } of [large, recordOf(outcomes, 'app')]) {
    const dump = await inspectDump(await openRepositorySource(repository, 'main', file), { passphrase })
    const { target } = scene.server
    const { tables, expectedTables } = await loadDump({ ...scene, dump, target, into: undefined, create: false })
    assert.equal(tables, expectedTables)
  }
  const byHand = scene.shell(
    `cd ${root}/main/dumps && cat ${large.file}.[0-9]* | gpg -d | pg_restore -f - | grep -c noise`,
  )
  assert.equal(byHand.code, 0, byHand.stderr)
  await store.delete(`main/dumps/${large.file}.000001`)
  assert.equal((await listDumps(repository, 'main')).damaged[0]?.file, large.file)
  await assert.rejects(openRepositorySource(repository, 'main', 'app-20200101T000000Z-00000000.dump.gpg'), {
    code: 'dump-not-found',
  })
})

const fileOf = (one: Awaited<ReturnType<DumpScene['dump']>>[number]): string =>
  one.outcome === 'ok' ? one.record.file : one.file

test('what the scripts of old made is loaded: custom and plain, with gzip and without, whatever the name', async () => {
  const result = scene.shell(`
    pg_dump -Fc app | gpg --symmetric --cipher-algo AES256 -o old.dump.gpg
    pg_dump app | gpg --symmetric --cipher-algo AES256 -o old.sql.gpg
    pg_dump app | gzip | gpg --symmetric --cipher-algo AES256 -o old.sql.gz.gpg
    pg_dump app | gzip | gpg --symmetric --cipher-algo AES256 --compress-algo none -o strange
    sha256sum old.sql.gz.gpg > old.sql.gz.gpg.sha256
    echo '{"made":"by something else"}' > old.sql.gpg.json
    pg_dumpall | gpg --symmetric --cipher-algo AES256 -o all.sql.gpg`)
  assert.equal(result.code, 0, result.stderr)
  for (const [index, name] of ['old.dump.gpg', 'old.sql.gpg', 'old.sql.gz.gpg', 'strange'].entries()) {
    const loaded = await scene.load(join(scene.dumps, name), `old_${index}`, { create: true })
    assert.equal(loaded.tables, 3, name)
    assert.equal(loaded.expectedTables, null)
    const rows = await scene.inDatabase(`old_${index}`, (sql) => sql.query('SELECT count(*) FROM sales.orders'))
    assert.deepEqual(rows, [{ count: '20000' }])
  }
  await assert.rejects(scene.load(join(scene.dumps, 'all.sql.gpg'), 'all', { create: true }), {
    code: 'dump-switches-database',
  })
})
