import assert from 'node:assert/strict'
import { mkdir, readdir, readFile, readlink, stat, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { cloneDataDirectory } from '../../../src/postgres/clone/clone-data-directory.ts'
import { isUnfinishedClone, markerName } from '../../../src/postgres/clone/unfinished-clone.ts'
import { openSql } from '../../../src/postgres/sql.ts'
import { isFault } from '../../../src/std/fault.ts'
import { runProgram } from '../../../src/std/run-program.ts'
import { createTestServer, testMajors, type TestServer } from '../../support/postgres.ts'
import { eventually } from './eventually.ts'
import { startStandby } from './standby.ts'

const digest = `select count(*)::text || ' ' || coalesce(sum(hashtext(t::text)), 0)::text as digest from TABLE t`

async function digestOf(target: TestServer['target'], table: string): Promise<string> {
  await using sql = await openSql(target)
  const [row] = await sql.query<{ digest: string }>(digest.replace('TABLE', table))
  return row!.digest
}

async function fillTablespace(server: TestServer): Promise<Map<string, string>> {
  const location = join(server.directory, 'space')
  await mkdir(location, { mode: 0o700 })
  await using sql = await server.sql()
  await sql.query(`create tablespace space location '${location}'`)
  await sql.query('create table in_space tablespace space as select i, md5(i::text) from generate_series(1, 20000) i')
  await sql.query('create unlogged table forgotten as select generate_series(1, 100) i')
  return new Map([[location, join(server.directory, 'space-of-clone')]])
}

for (const installation of await testMajors()) {
  describe(`clone of ${installation.source} ${installation.version}`, () => {
    test('starts as a standby with its tablespace elsewhere, and follows', async () => {
      await using server = await createTestServer({ installation })
      const tablespaceMap = await fillTablespace(server)
      let last = { receivedBytes: 0, totalBytes: 0 }
      await using standby = await startStandby(server, 'follower', {
        tablespaceMap,
        onProgress: (progress) => {
          assert.ok(progress.receivedBytes >= last.receivedBytes && progress.receivedBytes <= progress.totalBytes)
          last = progress
        },
      })
      assert.ok(last.receivedBytes > standby.clone.sizeBytes)
      const { dataDirectory } = standby
      const [oid] = await readdir(join(dataDirectory, 'pg_tblspc'))
      assert.equal(await readlink(join(dataDirectory, 'pg_tblspc', oid!)), join(server.directory, 'space-of-clone'))
      assert.equal((await stat(dataDirectory)).mode & 0o777, 0o700)
      assert.equal((await stat(join(dataDirectory, 'global', 'pg_control'))).mode & 0o777, 0o600)
      assert.equal(await isUnfinishedClone(dataDirectory), false)

      await using sql = await server.sql()
      await sql.query('insert into in_space select i, md5(i::text) from generate_series(20001, 30000) i')
      const expected = await digestOf(server.target, 'in_space')
      await eventually(
        () => digestOf(standby.target, 'in_space'),
        (found) => found === expected,
      )
      const [slot] = await sql.query<{ active: boolean }>(
        `select active from pg_replication_slots where slot_name = 'follower'`,
      )
      assert.equal(slot?.active, true)
    })

    test('an abort leaves the directory empty, no slot and no connection', async () => {
      await using server = await createTestServer({ installation })
      const tablespaceMap = await fillTablespace(server)
      const dataDirectory = join(server.directory, 'aborted')
      const aborter = new AbortController()
      await assert.rejects(
        cloneDataDirectory(server.replicationTarget, dataDirectory, {
          slot: 'aborted',
          tablespaceMap,
          signal: aborter.signal,
          onProgress: ({ receivedBytes }) => {
            if (receivedBytes > 4_000_000) aborter.abort(new Error('enough'))
          },
        }),
        /enough/,
      )
      assert.deepEqual(await readdir(dataDirectory), [])
      assert.deepEqual(await readdir(join(server.directory, 'space-of-clone')), [])
      await using sql = await server.sql()
      assert.equal((await sql.query('select 1 from pg_replication_slots')).length, 0)
      const senders = async (): Promise<number> => (await sql.query('select 1 from pg_stat_replication')).length
      assert.equal(await eventually(senders, (count) => count === 0), 0)
      await using standby = await startStandby(server, 'aborted', { tablespaceMap })
      assert.ok(standby.clone.fileCount > 900)
    })
  })
}

describe('a clone that should not be', () => {
  test('into a directory with something in it is refused, and nothing is touched', async () => {
    await using server = await createTestServer()
    const dataDirectory = join(server.directory, 'taken')
    await mkdir(dataDirectory)
    await writeFile(join(dataDirectory, 'precious'), 'data')
    const refused = (error: unknown): boolean => isFault(error) && error.code === 'postgres-clone-directory-not-empty'
    await assert.rejects(cloneDataDirectory(server.replicationTarget, dataDirectory, { slot: 'x' }), refused)
    assert.deepEqual(await readdir(dataDirectory), ['precious'])

    const tablespaceMap = await fillTablespace(server)
    const [inUse] = tablespaceMap.values()
    await mkdir(inUse!)
    await writeFile(join(inUse!, 'precious'), 'data')
    const fresh = join(server.directory, 'fresh')
    await assert.rejects(cloneDataDirectory(server.replicationTarget, fresh, { tablespaceMap, slot: 'x' }), refused)
    await assert.rejects(cloneDataDirectory(server.replicationTarget, fresh, { slot: 'x' }), refused)
    assert.equal(await readFile(join(inUse!, 'precious'), 'utf8'), 'data')
    assert.deepEqual(await readdir(fresh), [])
    await using sql = await server.sql()
    assert.equal((await sql.query('select 1 from pg_replication_slots')).length, 0)
  })

  test('from another cluster than expected is refused before anything is written', async () => {
    await using server = await createTestServer()
    const dataDirectory = join(server.directory, 'foreign')
    await assert.rejects(
      cloneDataDirectory(server.replicationTarget, dataDirectory, { systemIdentifier: 1n }),
      (error) => isFault(error) && error.code === 'postgres-clone-foreign-system',
    )
    await assert.rejects(readdir(dataDirectory), { code: 'ENOENT' })
  })

  test('what a crash left behind is recognised, cleared, and cloned again', async () => {
    await using server = await createTestServer()
    const tablespaceMap = await fillTablespace(server)
    const [space] = tablespaceMap.values()
    const dataDirectory = join(server.directory, 'crashed')
    await mkdir(join(dataDirectory, 'base', '1'), { recursive: true })
    await writeFile(join(dataDirectory, 'base', '1', '1259'), 'half a file')
    await writeFile(join(dataDirectory, markerName), JSON.stringify({ tablespaces: [space] }))
    await mkdir(join(space!, 'PG_15_202209061'), { recursive: true })
    assert.equal(await isUnfinishedClone(dataDirectory), true)
    const result = await cloneDataDirectory(server.replicationTarget, dataDirectory, { tablespaceMap })
    assert.ok(result.endLsn > result.startLsn)
    assert.equal(await isUnfinishedClone(dataDirectory), false)

    await writeFile(join(dataDirectory, markerName), '{}')
    await writeFile(join(dataDirectory, 'postmaster.pid'), '1')
    await assert.rejects(
      cloneDataDirectory(server.replicationTarget, dataDirectory),
      (error) => isFault(error) && error.code === 'postgres-clone-directory-not-empty',
    )
  })

  test('of pages with wrong checksums fails and names the file', async () => {
    await using server = await createTestServer({ installation: (await testMajors()).at(-1) })
    await using sql = await server.sql()
    await sql.query('create table rotten as select generate_series(1, 10000) i')
    await sql.query('checkpoint')
    const [row] = await sql.query<{ path: string }>(`select pg_relation_filepath('rotten') as path`)
    const path = join(server.dataDirectory, row!.path)
    const content = await readFile(path)
    content[8192 * 3 + 4000]! ^= 1
    await writeFile(path, content)
    const dataDirectory = join(server.directory, 'rotten')
    await assert.rejects(cloneDataDirectory(server.replicationTarget, dataDirectory, { slot: 'rotten' }), (error) => {
      assert.ok(isFault(error))
      assert.equal(error.code, 'postgres-base-backup-damaged')
      assert.match(String(error.details['damage']), new RegExp(`${row!.path}.*block 3`))
      return true
    })
    assert.deepEqual(await readdir(dataDirectory), [])
  })
})

test('a table of more than one segment arrives whole, as pg_verifybackup confirms', async (context) => {
  const installation = (await testMajors()).find(({ source }) => source === 'system')
  if (installation === undefined) return context.skip('needs the tools of a system PostgreSQL')
  await using server = await createTestServer({ installation })
  const tablespaceMap = await fillTablespace(server)
  const path = await growBeyondOneSegment(server)
  assert.ok((await stat(`${path}.1`)).size > 0)
  const dataDirectory = join(server.directory, 'big')
  const result = await cloneDataDirectory(server.replicationTarget, dataDirectory, { tablespaceMap })
  assert.ok(result.sizeBytes > 1024 ** 3)
  const verify = join(installation.binDirectory, 'pg_verifybackup')
  await runProgram(verify, ['--no-parse-wal', '--ignore=standby.signal', dataDirectory], {
    environment: installation.environment,
    deadlineMs: 60_000,
  })
})

/** Empty pages are valid pages: a segment's worth of them costs no time, and the rows behind them lie in the next one. */
async function growBeyondOneSegment(server: TestServer): Promise<string> {
  await using sql = await server.sql()
  await sql.query('create table big (i int)')
  await sql.query('insert into big values (1)')
  const [row] = await sql.query<{ path: string }>(`select pg_relation_filepath('big') as path`)
  const path = join(server.dataDirectory, row!.path)
  await sql.close()
  await server.stop('fast')
  await truncate(path, 1024 ** 3)
  await writeFile(`${path}.1`, new Uint8Array(8192 * 5), { mode: 0o600 })
  await server.start()
  return path
}
