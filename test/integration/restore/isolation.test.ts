import assert from 'node:assert/strict'
import { mkdir, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { openSql, withSql } from '../../../src/postgres/sql.ts'
import { currentLsn, openArchiveScene, slot, startArchiver } from '../archive/archive-scene.ts'
import { backUp, restore } from './restore-scene.ts'

test('law L9: a restored copy reaches nobody, whatever the files of the source say', { timeout: 60_000 }, async () => {
  await using scene = await openArchiveScene({ parameters: { archive_mode: 'on' } })
  const leak = join(scene.server.directory, 'leaked')
  await mkdir(leak)
  await using sql = await scene.server.sql()
  {
    await using archiver = startArchiver(scene)
    // Only written, not loaded: this server goes on as it is, its copy would begin with all of it.
    await sql.query(`ALTER SYSTEM SET archive_command = 'cp %p ${leak}/%f'`)
    await sql.query("ALTER SYSTEM SET archive_mode = 'always'")
    await sql.query("ALTER SYSTEM SET synchronous_standby_names = 'nobody'")
    await sql.query("ALTER SYSTEM SET listen_addresses = '*'")
    await sql.query(`ALTER SYSTEM SET primary_conninfo = 'host=127.0.0.1 port=${scene.server.port}'`)
    await sql.query("ALTER SYSTEM SET work_mem = '5MB'")
    await sql.query('CREATE TABLE t (x int)')
    await backUp(scene)
    const lsn = await currentLsn(sql)
    await archiver.until(({ durableLsn = 0n }) => durableLsn >= lsn)
  }
  await using recovered = await restore(scene, { kind: 'latest' })
  assert.ok(recovered.connection !== undefined)
  await withSql(recovered.connection, { statementTimeoutMs: 10_000 }, async (copy) => {
    await copy.query('INSERT INTO t VALUES (1)')
    await copy.query('SELECT pg_switch_wal()')
    await copy.query('CHECKPOINT')
    const [settings] = await copy.query(
      `SELECT current_setting('listen_addresses') AS listens, current_setting('archive_mode') AS archives,
       current_setting('work_mem') AS memory, (SELECT count(*) FROM pg_replication_slots)::int AS slots,
       (SELECT count(*) FROM pg_stat_activity WHERE backend_type IN ('archiver', 'walreceiver', 'walsender'))::int AS talkers`,
    )
    assert.deepEqual(settings, { listens: '', archives: 'off', memory: '5MB', slots: 0, talkers: 0 })
  })
  await assert.rejects(openSql({ ...recovered.connection, host: '127.0.0.1' }))
  await recovered.stop()
  assert.deepEqual(await readdir(leak), [])
  const [source] = await sql.query(
    'SELECT count(*)::int AS active FROM pg_replication_slots WHERE active AND slot_name <> $1',
    [slot],
  )
  assert.deepEqual(source, { active: 0 })
})
