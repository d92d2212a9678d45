import assert from 'node:assert/strict'
import { truncate } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { takeBackup } from '../../../src/backup/take-backup.ts'
import { openSql } from '../../../src/postgres/sql.ts'
import { verifyBackup } from '../../../src/repository/verify.ts'
import { systemClock as clock } from '../../../src/std/clock.ts'
import { createTestDirectory } from '../../support/postgres.ts'
import { cluster, openBackupScene, recoverCopy } from './backup-scene.ts'
import { layOutBackup } from './lay-out-backup.ts'
import { startWalFeeder } from './wal-feeder.ts'

const gibibyte = 1024 ** 3

test(
  'WAL segments of 64 MiB, a relation of several files, databases created both ways while files are copied',
  {
    timeout: 240_000,
  },
  async () => {
    let whileCopying = async (): Promise<void> => {}
    await using scene = await openBackupScene({
      walSegmentBytes: 64 * 1024 * 1024,
      feedWal: false,
      parameters: { max_wal_size: '1GB' },
      decorate: (store) => ({
        ...store,
        create: async (key, body, options) => {
          if (key.includes('/packs/')) await whileCopying()
          return await store.create(key, body, options)
        },
      }),
    })
    const { server } = scene
    {
      await using sql = await server.sql()
      await sql.query('CREATE TABLE big (id int)')
      await sql.query('INSERT INTO big SELECT generate_series(1, 1000)')
      await sql.query('CREATE DATABASE pattern')
      await using pattern = await openSql({ ...server.target, database: 'pattern' })
      await pattern.query('CREATE TABLE kept AS SELECT generate_series(1, 5000) AS id')
      const [row] = await sql.query<{ path: string }>("SELECT pg_relation_filepath('big') AS path")
      await server.stop()
      // New pages are zeros: so the first file is full, and what is inserted next goes into the second.
      await truncate(join(server.dataDirectory, row?.path ?? ''), gibibyte)
    }
    await server.start()
    await using _feeder = await startWalFeeder(server, scene.repository, cluster)
    await using sql = await server.sql()
    await sql.query('INSERT INTO big SELECT generate_series(1001, 60000)')
    const [size] = await sql.query<{ blocks: string }>("SELECT pg_relation_size('big') / 8192 AS blocks")
    assert.ok(Number(size?.blocks) > gibibyte / 8192)
    let created: Promise<unknown> | undefined
    whileCopying = async () => {
      created ??= (async () => {
        await sql.query('CREATE DATABASE walled TEMPLATE pattern STRATEGY wal_log')
        await sql.query('CREATE DATABASE filed TEMPLATE pattern STRATEGY file_copy')
      })()
      await created
    }
    const { commit, damagedPages } = await takeBackup(scene.request, { clock })
    assert.deepEqual(damagedPages, [])
    assert.equal(commit.facts.walSegmentBytes, 64 * 1024 * 1024)
    assert.deepEqual((await verifyBackup(scene.repository, commit)).bad, [])
    await sql.query('UPDATE big SET id = -id WHERE id % 1000 = 0')
    const incremental = await takeBackup(scene.request, { clock })
    assert.equal(incremental.commit.facts.kind, 'incremental')
    for (const [each, negative] of [
      [commit, '0'],
      [incremental.commit, '60'],
    ] as const) {
      await using directory = await createTestDirectory()
      await layOutBackup(scene.repository, each, directory.path)
      await using copy = await recoverCopy(scene, directory.path)
      const [rows] = await copy.sql.query<{ all: string; negative: string }>(
        'SELECT count(*) AS all, count(*) FILTER (WHERE id < 0) AS negative FROM big',
      )
      assert.deepEqual(rows, { all: '60000', negative })
      for (const database of ['pattern', 'walled', 'filed']) {
        await using inside = await openSql({ ...server.target, host: directory.path, database })
        assert.deepEqual(await inside.query('SELECT count(*) AS rows FROM kept'), [{ rows: '5000' }], database)
      }
    }
  },
)
