import assert from 'node:assert/strict'
import { test } from 'node:test'
import { withSql } from '../../../src/postgres/sql.ts'
import { readHistory, walInventory } from '../../../src/repository/wal-objects.ts'
import { systemClock } from '../../../src/std/clock.ts'
import { waitUntil } from '../../../src/std/wait-until.ts'
import type { TimelineId } from '../../../src/wal/core/lsn.ts'
import { parseTimelineHistory } from '../../../src/wal/core/timeline-history.ts'
import { startStandby } from '../replication/standby.ts'
import type { Standby } from '../replication/standby.ts'
import { backUp, restore, rowsOf } from '../restore/restore-scene.ts'
import { cluster, currentLsn, durableEnd, openArchiveScene, startArchiver } from './archive-scene.ts'
import type { ArchiveScene } from './archive-scene.ts'

async function insert(target: Standby['target'], x: number): Promise<bigint> {
  return withSql(target, {}, async (sql) => {
    await sql.query('INSERT INTO t VALUES ($1)', [x])
    return currentLsn(sql)
  })
}

async function promote(standby: Standby): Promise<void> {
  await withSql(standby.target, {}, (sql) => sql.query('SELECT pg_promote()'))
}

async function replayed(standby: Standby, lsn: bigint): Promise<void> {
  const caughtUp = async (): Promise<true | undefined> => {
    const text = `SELECT pg_last_wal_replay_lsn() >= '0/0'::pg_lsn + ${lsn} AS done`
    const [row] = await withSql(standby.target, {}, (sql) => sql.query<{ done: boolean }>(text))
    return row?.done === true ? true : undefined
  }
  await waitUntil('the standby catch up', caughtUp, { clock: systemClock, timeoutMs: 20_000 })
}

async function forkOf(scene: ArchiveScene): Promise<bigint> {
  const timeline = 2 as TimelineId
  const bytes = await readHistory(scene.repository, { cluster, timeline })
  const parsed = parseTimelineHistory(timeline, Buffer.from(bytes).toString())
  assert.ok('history' in parsed)
  return parsed.history.ancestors[0]?.switchLsn ?? 0n
}

test('after a failover the old timeline is completed from the new primary, and the new one follows without a gap', async () => {
  await using scene = await openArchiveScene()
  {
    await using sql = await scene.server.sql()
    await sql.query('CREATE TABLE t (x int)')
  }
  await using standby = await startStandby(scene.server, 'standby')
  {
    await using archiver = startArchiver(scene)
    await backUp(scene)
    const lsn = await insert(scene.server.target, 1)
    await archiver.until((status) => (status.durableLsn ?? 0n) >= lsn)
  }
  // What the archiver does not see of the old primary any more, the standby has.
  const unseen = await insert(scene.server.target, 2)
  await replayed(standby, unseen)
  await scene.server.stop('immediate')
  await promote(standby)
  const lsn = await insert(standby.target, 3)
  {
    await using archiver = startArchiver(scene, { source: standby.replicationTarget })
    const status = await archiver.until(({ timeline, durableLsn = 0n }) => timeline === 2 && durableLsn >= lsn)
    assert.deepEqual(status.gaps, [])
  }
  assert.equal(await durableEnd(scene, 1), await forkOf(scene))
  assert.ok((await durableEnd(scene, 2)) >= lsn)
  await using recovered = await restore(scene, { kind: 'latest' })
  assert.deepEqual(await rowsOf(recovered), ['1', '2', '3'])
})

test('what only the old primary wrote stays on the old timeline and out of the restored database', async () => {
  await using scene = await openArchiveScene()
  {
    await using sql = await scene.server.sql()
    await sql.query('CREATE TABLE t (x int)')
  }
  await using standby = await startStandby(scene.server, 'standby')
  {
    await using archiver = startArchiver(scene)
    await backUp(scene)
    await replayed(standby, await insert(scene.server.target, 1))
    await standby.server.stop('fast')
    const lsn = await insert(scene.server.target, 99)
    await archiver.until((status) => (status.durableLsn ?? 0n) >= lsn)
  }
  await scene.server.stop('immediate')
  await using promoted = await restartStandby(scene, standby)
  await promote(promoted)
  const lsn = await insert(promoted.target, 2)
  {
    await using archiver = startArchiver(scene, { source: promoted.replicationTarget })
    await archiver.until(({ timeline, durableLsn = 0n }) => timeline === 2 && durableLsn >= lsn)
  }
  assert.ok((await durableEnd(scene, 1)) > (await forkOf(scene)))
  {
    await using recovered = await restore(scene, { kind: 'latest' })
    assert.deepEqual(await rowsOf(recovered), ['1', '2'])
  }
  await using diverged = await restore(scene, { kind: 'latest' }, { timeline: 1 as TimelineId, directory: 'diverged' })
  assert.deepEqual(await rowsOf(diverged), ['1', '99'])
})

test('a source that is promoted while it is streamed from is followed', async () => {
  await using scene = await openArchiveScene()
  {
    await using sql = await scene.server.sql()
    await sql.query('CREATE TABLE t (x int)')
  }
  await using standby = await startStandby(scene.server, 'standby')
  await using archiver = startArchiver(scene, { source: standby.replicationTarget })
  const before = await insert(scene.server.target, 1)
  await archiver.until(({ timeline, durableLsn = 0n }) => timeline === 1 && durableLsn >= before)
  await promote(standby)
  const after = await insert(standby.target, 2)
  await archiver.until(({ timeline, durableLsn = 0n }) => timeline === 2 && durableLsn >= after)
  assert.equal(await durableEnd(scene, 1), await forkOf(scene))
  assert.deepEqual((await walInventory(scene.repository, cluster)).histories, [2])
})

async function restartStandby(scene: ArchiveScene, standby: Standby): Promise<Standby> {
  const { startServer } = await import('../../../src/postgres/server.ts')
  const server = await startServer(scene.server.installation, standby.dataDirectory, {
    logFile: `${standby.dataDirectory}.log`,
    parameters: { fsync: 'off' },
  })
  return { ...standby, server, [Symbol.asyncDispose]: () => server[Symbol.asyncDispose]() }
}
