import assert from 'node:assert/strict'
import { test } from 'node:test'
import { walInventory } from '../../../src/repository/wal-objects.ts'
import { cluster, compareSegments, currentLsn, durableEnd, openArchiveScene, startArchiver } from './archive-scene.ts'

const keepWal = { max_wal_size: '2GB' }

test('WAL comes into the repository within the flush time, whole segments byte by byte', async () => {
  await using scene = await openArchiveScene({
    settings: { maxSlotWalKeepSize: '1GB' },
    parameters: { max_wal_size: '1GB' },
  })
  await using sql = await scene.server.sql()
  {
    await using archiver = startArchiver(scene)
    await sql.query('CREATE TABLE t AS SELECT i, repeat(md5(i::text), 20) AS x FROM generate_series(1, 60000) i')
    const lsn = await currentLsn(sql)
    await archiver.until((status) => (status.durableLsn ?? 0n) >= lsn)
    assert.ok((await durableEnd(scene, 1)) >= lsn)
    await sql.query('INSERT INTO t VALUES (0, $1)', ['one more row'])
    const next = await currentLsn(sql)
    const status = await archiver.until(({ durableLsn = 0n }) => durableLsn >= next)
    assert.equal(status.error, undefined)
    assert.deepEqual(status.gaps, [])
  }
  assert.ok((await compareSegments(scene)) >= 2)
  const { tails, segments } = await walInventory(scene.repository, cluster)
  const newest = segments.at(-1)?.name ?? ''
  assert.ok(tails.length > 0 && tails.every(({ startLsn }) => startLsn >= BigInt(`0x${newest.slice(16)}`) * 2n ** 24n))
})

test('an archiver that starts again goes on where the repository ends', async () => {
  await using scene = await openArchiveScene({ parameters: keepWal })
  await using sql = await scene.server.sql()
  for (let round = 0; round < 3; round += 1) {
    await using archiver = startArchiver(scene)
    await sql.query('CREATE TABLE IF NOT EXISTS t (x text)')
    await sql.query("INSERT INTO t SELECT repeat('x', 1000) FROM generate_series(1, 9000)")
    const lsn = await currentLsn(sql)
    await archiver.until((status) => (status.durableLsn ?? 0n) >= lsn)
  }
  assert.ok((await durableEnd(scene, 1)) >= (await currentLsn(sql)) - 1000n)
  await compareSegments(scene)
})
