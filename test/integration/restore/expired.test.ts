import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Sql } from '../../../src/postgres/sql.ts'
import { listBackups } from '../../../src/repository/catalogue.ts'
import { expireBackups } from '../../../src/repository/expire-backups.ts'
import { holdBackup } from '../../../src/repository/holds.ts'
import { verifyBackup } from '../../../src/repository/verify.ts'
import { walInventory } from '../../../src/repository/wal-objects.ts'
import { windowFromRepository } from '../../../src/restore/plan-from-repository.ts'
import { systemClock, type EpochMs } from '../../../src/std/clock.ts'
import type { Lsn } from '../../../src/wal/core/lsn.ts'
import { cluster, currentLsn, openArchiveScene, startArchiver } from '../archive/archive-scene.ts'
import { backUp, plan, restore, rowsOf } from './restore-scene.ts'

const dayMs = 86_400_000
const policy = { days: 1, count: 0, daily: 0, weekly: 0, monthly: 0, yearly: 0 }

test('L6: after an expiry every listed backup restores, and so does every moment of the window', async () => {
  await using scene = await openArchiveScene()
  const { repository } = scene
  const ends: Lsn[] = []
  {
    await using sql = await scene.server.sql()
    await using archiver = startArchiver(scene)
    await sql.query('CREATE TABLE t (x int)')
    for (let x = 1; x <= 4; x += 1) {
      await backUp(scene)
      await sql.query('INSERT INTO t VALUES ($1)', [x])
      ends.push(await currentLsn(sql))
      await switchSegments(sql)
    }
    const lsn = await currentLsn(sql)
    await archiver.until((status) => (status.durableLsn ?? 0n) >= lsn)
  }
  const all = (await listBackups(repository, cluster)).backups
  const [first, second, third, fourth] = all.map(({ facts }) => facts)
  if (first === undefined || third === undefined || fourth === undefined) assert.fail()
  await holdBackup(repository, { cluster, backup: first.backup, reason: 'audit' }, { clock: systemClock })
  // The window begins between the third backup and the fourth.
  const wall = (): EpochMs => (third.stoppedAt + 1 + dayMs) as EpochMs
  const before = await walInventory(repository, cluster)

  const dry = await expireBackups(repository, cluster, policy, { clock: { wall }, dryRun: true })
  assert.deepEqual(await walInventory(repository, cluster), before, 'a dry run removes nothing')
  assert.equal((await listBackups(repository, cluster)).backups.length, 4)

  const done = await expireBackups(repository, cluster, policy, { clock: { wall } })
  assert.deepEqual(done.removals, dry.removals)
  const listed = (await listBackups(repository, cluster)).backups
  const names = listed.map(({ facts }) => facts.backup)
  assert.deepEqual(names, [first.backup, third.backup, fourth.backup])
  assert.ok(second !== undefined && !names.includes(second.backup))
  const after = await walInventory(repository, cluster)
  assert.ok(after.segments.length < before.segments.length, 'WAL between the held backup and the window is gone')

  for (const commit of listed) {
    assert.deepEqual((await verifyBackup(repository, commit)).bad, [])
    const options = { backupId: commit.facts.backup, timeline: 'current' } as const
    await plan(scene, { kind: 'immediate' }, options)
  }
  const window = await windowFromRepository(repository, cluster)
  assert.equal(window.oldest.facts.backup, third.backup, 'not from the held one on, which has only its own WAL')
  const held = { backupId: first.backup, timeline: 'current', directory: 'held' } as const
  {
    await using recovered = await restore(scene, { kind: 'immediate' }, held)
    assert.deepEqual(await rowsOf(recovered), [])
  }
  const target = { kind: 'lsn', lsn: ends[2] as Lsn, inclusive: false } as const
  {
    await using recovered = await restore(scene, target, { directory: 'inside' })
    assert.deepEqual(await rowsOf(recovered), ['1', '2', '3'])
  }
  await using recovered = await restore(scene, { kind: 'latest' }, { directory: 'latest' })
  assert.deepEqual(await rowsOf(recovered), ['1', '2', '3', '4'])
})

/** Ends the segment twice, so that whole segments lie between one backup and the next. */
async function switchSegments(sql: Sql): Promise<void> {
  for (let times = 0; times < 2; times += 1) {
    await sql.query('SELECT pg_switch_wal()')
    await sql.query("SELECT pg_logical_emit_message(false, 'expiry', 'x')")
  }
}
