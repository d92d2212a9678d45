import assert from 'node:assert/strict'
import { cp, mkdir, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { directoryDonor } from '../../../src/archive/donors/directory-donor.ts'
import type { WalDonor } from '../../../src/archive/donors/donor.ts'
import { memberDonor } from '../../../src/archive/donors/member-donor.ts'
import { archiveFaults } from '../../../src/archive/faults.ts'
import { freePort } from '../../../src/postgres/port.ts'
import { withSql } from '../../../src/postgres/sql.ts'
import { readGaps } from '../../../src/repository/gaps.ts'
import { restoreFaults } from '../../../src/restore/faults.ts'
import { systemClock } from '../../../src/std/clock.ts'
import { isFault } from '../../../src/std/fault.ts'
import { waitUntil } from '../../../src/std/wait-until.ts'
import { startStandby } from '../replication/standby.ts'
import type { Standby } from '../replication/standby.ts'
import { backUp, plan, restore, rowsOf } from '../restore/restore-scene.ts'
import { cluster, currentLsn, durableEnd, openArchiveScene, slot, startArchiver } from './archive-scene.ts'
import type { ArchiveScene } from './archive-scene.ts'

const noWalKept = { wal_keep_size: '0', max_wal_size: '32MB', min_wal_size: '32MB' }

interface Target {
  readonly target: Standby['target']
}

async function insert({ target }: Target, x: number): Promise<bigint> {
  return withSql(target, {}, async (sql) => {
    await sql.query('INSERT INTO t VALUES ($1)', [x])
    return currentLsn(sql)
  })
}

async function replayed(standby: Standby, lsn: bigint): Promise<void> {
  const look = async (): Promise<true | undefined> => {
    const text = `SELECT pg_last_wal_replay_lsn() >= '0/0'::pg_lsn + ${lsn} AS done`
    const [row] = await withSql(standby.target, {}, (sql) => sql.query<{ done: boolean }>(text))
    return row?.done === true ? true : undefined
  }
  await waitUntil('the standby catch up', look, { clock: systemClock, timeoutMs: 20_000 })
}

/** Fills segments and makes the server forget those that nobody keeps. */
async function moveOn({ target }: Target, rounds = 3): Promise<void> {
  await withSql(target, {}, async (sql) => {
    for (let round = 0; round < rounds; round += 1) {
      await sql.query('INSERT INTO t SELECT -1 FROM generate_series(1, 1000)')
      await sql.query('SELECT pg_switch_wal()')
    }
    for (let round = 0; round < 2; round += 1) await sql.query('CHECKPOINT')
  })
}

async function follow(standby: Standby, leader: Standby): Promise<void> {
  await withSql(standby.target, {}, async (sql) => {
    const [row] = await sql.query<{ value: string }>("SELECT current_setting('primary_conninfo') AS value")
    const conninfo = (row?.value ?? '').replace(/port='?\d+'?/, `port=${leader.target.port}`)
    await sql.query(`ALTER SYSTEM SET primary_conninfo = '${conninfo.replaceAll("'", "''")}'`)
    await sql.query("ALTER SYSTEM SET primary_slot_name = ''")
    await sql.query('SELECT pg_reload_conf()')
  })
}

const donorOf = (name: string, standby: Standby): WalDonor => memberDonor(name, standby.replicationTarget, systemClock)

/** A primary with two standbys; of the last, 'keeper', nothing is ever removed. */
async function openFailoverScene(): Promise<ArchiveScene & { readonly heir: Standby; readonly keeper: Standby }> {
  await using stack = new AsyncDisposableStack()
  const scene = stack.use(await openArchiveScene({ parameters: { max_wal_size: '32MB', min_wal_size: '32MB' } }))
  {
    await using sql = await scene.server.sql()
    await sql.query('CREATE TABLE t (x int)')
  }
  const heir = stack.use(await startStandby(scene.server, 'heir'))
  const keeper = stack.use(await startStandby(scene.server, 'keeper'))
  const owned = stack.move()
  return { ...scene, heir, keeper, [Symbol.asyncDispose]: () => owned.disposeAsync() }
}

test('what the new leader has removed comes from another member, across the switch of timelines', async () => {
  await using scene = await openFailoverScene()
  const { heir, keeper, server } = scene
  {
    await using archiver = startArchiver(scene)
    await backUp(scene)
    const lsn = await insert(server, 1)
    await archiver.until(({ durableLsn = 0n }) => durableLsn >= lsn)
  }
  // Nobody archives this; the heir will not keep it, the keeper does.
  await withSql(heir.target, {}, async (sql) => {
    for (const [name, value] of Object.entries(noWalKept)) await sql.query(`ALTER SYSTEM SET ${name} = '${value}'`)
    await sql.query('SELECT pg_reload_conf()')
  })
  await moveOn(server)
  const last = await insert(server, 2)
  await replayed(heir, last)
  await replayed(keeper, last)
  await server.stop('immediate')
  await withSql(heir.target, {}, (sql) => sql.query('SELECT pg_promote()'))
  await follow(keeper, heir)
  await replayed(keeper, await insert(heir, 2))
  await moveOn(heir)
  const lsn = await insert(heir, 3)
  await replayed(keeper, lsn)
  assert.ok(!(await readdir(join(heir.dataDirectory, 'pg_wal'))).includes('000000010000000000000004'))
  const findDonors = async (): Promise<readonly WalDonor[]> => [donorOf('keeper', keeper)]
  {
    await using archiver = startArchiver(scene, { source: heir.replicationTarget, findDonors })
    const status = await archiver.until(({ timeline, durableLsn = 0n }) => timeline === 2 && durableLsn >= lsn)
    assert.deepEqual(status.gaps, [])
  }
  assert.deepEqual(await readGaps(scene.repository, cluster), [])
  assert.ok((await durableEnd(scene, 2)) >= lsn)
  await using recovered = await restore(scene, { kind: 'latest' })
  assert.deepEqual([...new Set(await rowsOf(recovered))], ['-1', '1', '2', '3'])
})

test('what nobody has any more is on record before anything behind it, refused by name, and healed by a backup', async () => {
  await using scene = await openArchiveScene({ parameters: { max_wal_size: '32MB', min_wal_size: '32MB' } })
  const { server, repository } = scene
  await using sql = await server.sql()
  await sql.query('CREATE TABLE t (x int)')
  {
    await using archiver = startArchiver(scene)
    await backUp(scene)
    const lsn = await insert(server, 1)
    await archiver.until(({ durableLsn = 0n }) => durableLsn >= lsn)
  }
  const kept = join(server.directory, 'put-aside')
  await mkdir(kept)
  const end = await durableEnd(scene, 1)
  const first = `00000001${end.toString(16).padStart(16, '0').slice(0, 8)}${(end >> 24n).toString(16).toUpperCase().padStart(8, '0')}`
  await sql.query('ALTER SYSTEM SET wal_keep_size = 0')
  await sql.query('SELECT pg_reload_conf()')
  await sql.query('SELECT pg_drop_replication_slot($1)', [slot])
  await sql.query('INSERT INTO t VALUES (2)')
  await sql.query('SELECT pg_switch_wal()')
  await mkdir(join(kept, '1-0_0'))
  await cp(join(server.dataDirectory, 'pg_wal', first), join(kept, '1-0_0', first))
  await moveOn(server, 4)
  const silent = memberDonor('gone', { ...server.replicationTarget, port: await freePort() }, systemClock)
  const findDonors = async (): Promise<readonly WalDonor[]> => [directoryDonor(kept), silent]
  {
    // The one that does not answer is waited for; what was put aside comes in meanwhile.
    await using archiver = startArchiver(scene, { findDonors })
    const waiting = await archiver.until(({ error }) => isFault(error, archiveFaults['archive-donor-silent']))
    assert.deepEqual(waiting.gaps, [])
    assert.deepEqual(await readGaps(repository, cluster), [])
  }
  const startLsn = await durableEnd(scene, 1)
  assert.equal(startLsn, ((end >> 24n) + 1n) << 24n)
  let id = ''
  {
    await using archiver = startArchiver(scene, { findDonors, donorPatienceMs: 0 })
    const status = await archiver.until(({ gaps }) => gaps.length > 0)
    assert.equal(status.gaps[0]?.startLsn, startLsn)
    id = status.gaps[0]?.id ?? ''
    const [record] = await readGaps(repository, cluster)
    assert.equal(record?.id, id)
    assert.match(record?.because ?? '', /no longer had it; nor did .*put-aside: it has no such segment; nor did gone: /)
    const lsn = await insert(server, 3)
    await archiver.until(({ durableLsn = 0n }) => durableLsn >= lsn)
  }
  await assert.rejects(
    plan(scene, { kind: 'latest' }),
    (error) =>
      isFault(error, restoreFaults['restore-wal-gap']) && /as was found out at 20.*nor did gone/.test(error.message),
  )
  await using archiver = startArchiver(scene, { findDonors })
  assert.deepEqual((await archiver.until(({ gaps }) => gaps.length > 0)).gaps[0]?.id, id, 'told again after a restart')
  await backUp(scene)
  await sql.query('DELETE FROM t')
  const lsn = await insert(server, 7)
  await archiver.until(({ durableLsn = 0n }) => durableLsn >= lsn)
  {
    await using again = startArchiver(scene, { slot: 'another', spoolDirectory: join(server.directory, 'spool2') })
    await again.until(({ durableLsn = 0n, state }) => state === 'streaming' && durableLsn >= lsn)
    assert.deepEqual(again.statuses.at(-1)?.gaps, [], 'a backup lies behind it')
  }
  await using recovered = await restore(scene, { kind: 'latest' })
  assert.deepEqual(await rowsOf(recovered), ['7'])
})
