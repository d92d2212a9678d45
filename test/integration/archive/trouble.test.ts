import assert from 'node:assert/strict'
import { cp, readdir, writeFile, mkdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { archiveFaults } from '../../../src/archive/faults.ts'
import { freePort } from '../../../src/postgres/port.ts'
import { startServer } from '../../../src/postgres/server.ts'
import { withSql } from '../../../src/postgres/sql.ts'
import { repositoryFaults } from '../../../src/repository/faults.ts'
import { restoreFaults } from '../../../src/restore/faults.ts'
import { Fault, isFault } from '../../../src/std/fault.ts'
import { storeFaults } from '../../../src/store/faults.ts'
import type { ObjectStore } from '../../../src/store/object-store.ts'
import { createTestServer } from '../../support/postgres.ts'
import { backUp, plan, restore, rowsOf } from '../restore/restore-scene.ts'
import type { Sql } from '../../../src/postgres/sql.ts'
import type { StartedArchiver } from './archive-scene.ts'
import { compareSegments, currentLsn, durableEnd, openArchiveScene, slot, startArchiver } from './archive-scene.ts'

const bulk = 'INSERT INTO t SELECT -1 FROM generate_series(1, 100000)'

test(
  'WAL that the server has removed becomes a gap that is told, and a new backup heals the way to now',
  { timeout: 90_000 },
  async () => {
    await using scene = await openArchiveScene()
    await using sql = await scene.server.sql()
    await sql.query('CREATE TABLE t (x int)')
    {
      await using archiver = startArchiver(scene)
      await backUp(scene)
      const lsn = await currentLsn(sql)
      await archiver.until((status) => (status.durableLsn ?? 0n) >= lsn)
    }
    const end = await durableEnd(scene, 1)
    await scene.server.stop()
    await scene.server.start({ wal_keep_size: '0' })
    await using again = await scene.server.sql()
    await again.query('SELECT pg_drop_replication_slot($1)', [slot])
    for (let round = 0; round < 3; round += 1) {
      await again.query(bulk)
      await again.query('SELECT pg_switch_wal()')
      await again.query('CHECKPOINT')
    }
    await using archiver = startArchiver(scene)
    const status = await archiver.until(({ gaps, durableLsn = 0n }) => durableLsn > (gaps[0]?.endLsn ?? durableLsn))
    assert.equal(status.gaps[0]?.startLsn, end)
    await assert.rejects(plan(scene, { kind: 'latest' }), (error) => isFault(error, restoreFaults['restore-wal-gap']))
    await backUp(scene)
    await again.query('DELETE FROM t')
    await again.query('INSERT INTO t VALUES (7)')
    const lsn = await currentLsn(again)
    await archiver.until(({ durableLsn = 0n }) => durableLsn >= lsn)
    await using recovered = await restore(scene, { kind: 'latest' })
    assert.deepEqual(await rowsOf(recovered), ['7'])
  },
)

test('the server of another cluster is refused', { timeout: 90_000 }, async () => {
  await using scene = await openArchiveScene()
  {
    await using archiver = startArchiver(scene)
    await using sql = await scene.server.sql()
    await caughtUp(archiver, sql)
  }
  await using other = await createTestServer()
  const archiver = startArchiver(scene, { source: other.replicationTarget })
  await assert.rejects(archiver.ended, (error) => isFault(error, repositoryFaults['repository-cluster-mismatch']))
})

test('a copy of the server that writes on the same timeline is found out', { timeout: 90_000 }, async () => {
  await using scene = await openArchiveScene()
  {
    await using sql = await scene.server.sql()
    await sql.query('CREATE TABLE t (x int)')
  }
  await scene.server.stop()
  const copy = join(scene.server.directory, 'copy')
  await cp(scene.server.dataDirectory, copy, { recursive: true })
  await scene.server.start()
  {
    await using archiver = startArchiver(scene)
    await using sql = await scene.server.sql()
    await sql.query('INSERT INTO t VALUES (1)')
    const lsn = await currentLsn(sql)
    await archiver.until((status) => (status.durableLsn ?? 0n) >= lsn)
  }
  const end = await durableEnd(scene, 1)
  const port = await freePort()
  const socketDirectory = join(scene.server.directory, 'copy-run')
  await mkdir(socketDirectory)
  await using _server = await startServer(scene.server.installation, copy, {
    logFile: join(scene.server.directory, 'copy.log'),
    parameters: { port: String(port), unix_socket_directories: socketDirectory, fsync: 'off' },
  })
  await withSql({ ...scene.server.target, port }, {}, (sql) => sql.query(bulk))
  const archiver = startArchiver(scene, { source: { ...scene.server.replicationTarget, port } })
  await assert.rejects(archiver.ended, (error) => isFault(error, archiveFaults['archive-diverged']))
  assert.equal(await durableEnd(scene, 1), end, 'nothing of the copy was stored')
})

async function caughtUp(archiver: StartedArchiver, sql: Sql): Promise<void> {
  const lsn = await currentLsn(sql)
  await archiver.until(({ durableLsn = 0n }) => durableLsn >= lsn)
}

/** A store that stops taking objects, or giving them, while it is told to. */
function unreliable(store: ObjectStore, state: { broken: boolean; kind: keyof typeof storeFaults }): ObjectStore {
  return {
    ...store,
    create: async (key, body, options) => {
      if (state.broken) throw new Fault(storeFaults[state.kind], `Cannot write object ${key}: the store is down`)
      return store.create(key, body, options)
    },
  }
}

test(
  'while the repository takes nothing WAL waits, bounded in the spool, and nothing is lost',
  { timeout: 90_000 },
  async () => {
    const state = { broken: false, kind: 'store-failed' as const }
    await using scene = await openArchiveScene({
      decorate: (store) => unreliable(store, state),
      parameters: { max_wal_size: '2GB' },
    })
    await using sql = await scene.server.sql()
    await sql.query('CREATE TABLE t (x int)')
    await using archiver = startArchiver(scene)
    await caughtUp(archiver, sql)
    state.broken = true
    for (let round = 0; round < 6; round += 1)
      await sql.query('INSERT INTO t SELECT -1 FROM generate_series(1, 250000)')
    const status = await archiver.until(({ error }) => error !== undefined)
    assert.ok(isFault(status.error, storeFaults['store-failed']))
    assert.ok((await readdir(scene.spoolDirectory)).length <= 6)
    const [kept] = await sql.query<{ bytes: string }>(
      'SELECT pg_current_wal_lsn() - restart_lsn AS bytes FROM pg_replication_slots WHERE slot_name = $1',
      [slot],
    )
    assert.ok(Number(kept?.bytes) > 80e6, 'the slot keeps what the repository does not have')
    state.broken = false
    const lsn = await currentLsn(sql)
    const healed = await archiver.until(({ durableLsn = 0n }) => durableLsn >= lsn)
    assert.equal(healed.error, undefined)
    assert.ok((await durableEnd(scene, 1)) >= lsn)
    assert.ok((await compareSegments(scene)) >= 4)
  },
)

test('a server that stops is not held up by a repository that takes nothing', { timeout: 90_000 }, async () => {
  const state = { broken: false, kind: 'store-failed' as const }
  await using scene = await openArchiveScene({ decorate: (store) => unreliable(store, state) })
  await using sql = await scene.server.sql()
  await sql.query('CREATE TABLE t (x int)')
  await using archiver = startArchiver(scene)
  await caughtUp(archiver, sql)
  state.broken = true
  await sql.query('INSERT INTO t VALUES (1)')
  const exit = await scene.server.server.stop('fast', { timeoutMs: 15_000 })
  assert.equal(exit.exitCode, 0)
  state.broken = false
  await scene.server.start()
  await using after = await scene.server.sql()
  const lsn = await currentLsn(after)
  await archiver.until(({ durableLsn = 0n }) => durableLsn >= lsn)
})

test('what is left in the spool is stored, but not what a crash made of its end', { timeout: 90_000 }, async () => {
  await using scene = await openArchiveScene()
  await using sql = await scene.server.sql()
  await sql.query('CREATE TABLE t (x int)')
  {
    await using archiver = startArchiver(scene)
    const lsn = await currentLsn(sql)
    await archiver.until((status) => (status.durableLsn ?? 0n) >= lsn)
  }
  const stored = await durableEnd(scene, 1)
  await sql.query('INSERT INTO t SELECT generate_series(1, 1000)')
  const lsn = await currentLsn(sql)
  const [row] = await sql.query<{ name: string }>('SELECT pg_walfile_name($1::pg_lsn) AS name', [
    `0/${lsn.toString(16)}`,
  ])
  const name = row?.name ?? ''
  const file = await sql.query<{ bytes: Buffer }>(
    `SELECT pg_read_binary_file('pg_wal/${name}', 0, ${Number(lsn % 2n ** 24n)}) AS bytes`,
  )
  const damaged = Buffer.concat([file[0]?.bytes ?? Buffer.alloc(0), Buffer.alloc(50_000, 1)])
  await writeFile(join(scene.spoolDirectory, `${name}.partial`), damaged)
  // Nobody answers at this port: what is stored can only come from the spool.
  const source = { ...scene.server.replicationTarget, port: await freePort() }
  {
    await using archiver = startArchiver(scene, { source })
    await archiver.until(({ state }) => state === 'retrying')
  }
  const end = await durableEnd(scene, 1)
  assert.ok(end > stored && end <= lsn && end > lsn - 300n, `${stored} ${end} ${lsn}`)
  await rm(scene.spoolDirectory, { recursive: true })
  {
    await using archiver = startArchiver(scene)
    const now = await currentLsn(sql)
    const status = await archiver.until(({ durableLsn = 0n }) => durableLsn >= now)
    assert.equal(status.error, undefined, 'what the spool gave is what the server has')
  }
})
