import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { appendFile, cp, mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { takeBackup } from '../../../src/backup/take-backup.ts'
import { startServer } from '../../../src/postgres/server.ts'
import { openSql, type Sql } from '../../../src/postgres/sql.ts'
import { segmentNameAt } from '../../../src/repository/core/object-names.ts'
import { verifyBackup } from '../../../src/repository/verify.ts'
import { putTail } from '../../../src/repository/wal-objects.ts'
import { systemClock } from '../../../src/std/clock.ts'
import { parseLsn, type Lsn, type TimelineId } from '../../../src/wal/core/lsn.ts'
import { createTestDirectory, testMajors, type TestServer } from '../../support/postgres.ts'
import { cluster, openBackupScene, passphrase, type BackupScene } from '../backup/backup-scene.ts'

/** The whole promise of RESTORE.md: a real backup and its WAL, restored by restore.mjs and recovered as it says. */
for (const installation of await testMajors()) {
  test(`restore.mjs brings back PostgreSQL ${installation.version}`, { timeout: 180_000 }, async () => {
    await using scene = await openBackupScene({ installation })
    await using sql = await scene.server.sql()
    const space = join(scene.server.directory, 'space')
    await mkdir(space)
    await sql.query(`CREATE TABLESPACE fast LOCATION '${space}'`)
    await sql.query(
      'CREATE TABLE ledger AS SELECT n AS id, repeat(md5(n::text), 8) AS filler FROM generate_series(1, 50000) n',
    )
    await sql.query('CREATE TABLE spaced TABLESPACE fast AS SELECT generate_series(1, 5000) AS id')
    const full = await takeBackup(scene.request, { clock: systemClock })
    await sql.query('UPDATE ledger SET filler = reverse(filler) WHERE id % 300 = 0')
    // What is restored is the incremental one.
    const { commit } = await takeBackup(scene.request, { clock: systemClock })
    assert.equal(commit.facts.parent, full.commit.facts.backup)
    assert.deepEqual((await verifyBackup(scene.repository, commit)).bad, [])
    await sql.query('INSERT INTO ledger SELECT n, repeat(md5(n::text), 8) FROM generate_series(50001, 60000) n')
    await sql.query('INSERT INTO spaced SELECT generate_series(5001, 6000)')
    await archiveTail(scene, sql)
    const [expected] = await digests(sql)

    await using directory = await createTestDirectory()
    const repository = join(directory.path, 'copy')
    await cp(scene.repositoryRoot, repository, { recursive: true })
    const target = join(directory.path, 'data')
    const [{ oid } = assert.fail()] = await sql.query<{ oid: string }>(
      "SELECT oid FROM pg_tablespace WHERE spcname = 'fast'",
    )
    const args = [join(repository, 'restore.mjs'), '--backup', 'latest', '--target', target]
    const run = spawnSync(process.execPath, [...args, '--tablespace', `${oid}=${join(directory.path, 'moved')}`], {
      input: passphrase.reveal(),
      env: { HOME: directory.path },
      encoding: 'utf8',
    })
    assert.equal(run.status, 0, run.stderr)
    await follow(run.stdout, target)
    await using restored = await start(scene.server, directory.path)
    assert.deepEqual((await digests(restored.sql))[0], expected)
    const [moved] = await restored.sql.query<{ at: string }>(
      'SELECT pg_tablespace_location(oid) AS at FROM pg_tablespace WHERE oid = $1::oid',
      [oid],
    )
    assert.equal(moved?.at, join(directory.path, 'moved'))
  })
}

/** Stores what the server has flushed of its current segment, as the archiver does every few seconds. */
async function archiveTail({ server, repository }: BackupScene, sql: Sql): Promise<void> {
  const [row] = await sql.query<{ flushed: string; bytes: string }>(
    "SELECT pg_current_wal_flush_lsn() AS flushed, setting AS bytes FROM pg_settings WHERE name = 'wal_segment_size'",
  )
  const endLsn = parseLsn(row?.flushed ?? '') ?? assert.fail()
  const walSegmentBytes = Number(row?.bytes)
  const startLsn = (endLsn - (endLsn % BigInt(walSegmentBytes))) as Lsn
  const timeline = 1 as TimelineId
  const segment = await readFile(join(server.dataDirectory, 'pg_wal', segmentNameAt(timeline, endLsn, walSegmentBytes)))
  const bytes = segment.subarray(0, Number(endLsn - startLsn))
  await putTail(repository, { cluster, timeline, startLsn, endLsn, bytes })
}

/** Does what restore.mjs printed: the settings it names, and recovery.signal. */
async function follow(instructions: string, target: string): Promise<void> {
  const settings = [
    ...instructions.matchAll(
      /^ +((?:restore_command|archive_mode|synchronous_standby_names|listen_addresses) = .*)$/gm,
    ),
  ]
  assert.equal(settings.length, 4, instructions)
  await appendFile(join(target, 'postgresql.auto.conf'), `${settings.map(([, line]) => line).join('\n')}\n`)
  await writeFile(join(target, 'recovery.signal'), '')
}

async function start(server: TestServer, root: string): Promise<AsyncDisposable & { readonly sql: Sql }> {
  const running = await startServer(server.installation, join(root, 'data'), {
    logFile: join(root, 'postgres.log'),
    parameters: { unix_socket_directories: root, listen_addresses: '' },
    until: 'connections',
  })
  const sql = await openSql({ ...server.target, host: root })
  for (;;) {
    const [row] = await sql.query<{ recovering: boolean }>('SELECT pg_is_in_recovery() AS recovering')
    if (row?.recovering === false) break
    await sql.query('SELECT pg_sleep(0.05)')
  }
  return {
    sql,
    [Symbol.asyncDispose]: async () => {
      await sql.close()
      await running.stop('fast')
    },
  }
}

function digests(sql: Sql): Promise<readonly Record<string, unknown>[]> {
  return sql.query(`SELECT (SELECT count(*) || md5(string_agg(id || filler, ',' ORDER BY id)) FROM ledger) AS ledger,
    (SELECT count(*) || md5(string_agg(id::text, ',' ORDER BY id)) FROM spaced) AS spaced`)
}
