import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { promisify } from 'node:util'
import { readControlFile, requireSystemIdentifier } from '../../../src/postgres/control-file.ts'
import { parseControlFile } from '../../../src/postgres/core/control-file.ts'
import { postgresFaults } from '../../../src/postgres/faults.ts'
import { isFault } from '../../../src/std/fault.ts'
import { formatLsn } from '../../../src/wal/core/lsn.ts'
import { createTestServer, testMajors } from '../../support/postgres.ts'
import type { TestServer } from '../../support/postgres.ts'

for (const installation of await testMajors()) {
  describe(`pg_control of PostgreSQL ${installation.version} (${installation.source})`, () => {
    let server: TestServer

    before(async () => {
      server = await createTestServer({ installation, walSegmentBytes: 2 ** 20, parameters: { max_connections: 33 } })
    })
    after(() => server[Symbol.asyncDispose]())

    test('the running server says the same about itself in SQL', async () => {
      await using sql = await server.sql()
      await sql.query('CHECKPOINT')
      const control = await readControlFile(server.dataDirectory)
      const [row] = await sql.query(`
        SELECT system_identifier, catalog_version_no, extract(epoch FROM pg_control_last_modified)::int8 AS changed_at,
               checkpoint_lsn, redo_lsn, timeline_id, prev_timeline_id, full_page_writes, next_xid,
               extract(epoch FROM checkpoint_time)::int8 AS checkpoint_at,
               min_recovery_end_lsn, min_recovery_end_timeline, backup_start_lsn, backup_end_lsn,
               end_of_backup_record_required, database_block_size, blocks_per_segment, wal_block_size,
               bytes_per_wal_segment, data_page_checksum_version
          FROM pg_control_system(), pg_control_checkpoint(), pg_control_recovery(), pg_control_init()`)
      assert.deepEqual(row, {
        system_identifier: String(control.systemIdentifier),
        catalog_version_no: control.catalogVersion,
        changed_at: String(control.changedAtSeconds),
        checkpoint_lsn: formatLsn(control.checkpointLsn),
        redo_lsn: formatLsn(control.redoLsn),
        timeline_id: control.timeline,
        prev_timeline_id: control.previousTimeline,
        full_page_writes: control.fullPageWrites,
        next_xid: `${control.nextTransaction >> 32n}:${control.nextTransaction & 0xffff_ffffn}`,
        checkpoint_at: String(control.checkpointAtSeconds),
        min_recovery_end_lsn: formatLsn(control.minRecoveryLsn),
        min_recovery_end_timeline: control.minRecoveryTimeline,
        backup_start_lsn: formatLsn(control.backupStartLsn),
        backup_end_lsn: formatLsn(control.backupEndLsn),
        end_of_backup_record_required: control.backupEndRequired,
        database_block_size: control.pageBytes,
        blocks_per_segment: control.segmentPages,
        wal_block_size: control.walPageBytes,
        bytes_per_wal_segment: control.walSegmentBytes,
        data_page_checksum_version: control.dataChecksums ? 1 : 0,
      })
      assert.equal(control.majorVersion, installation.major)
      assert.equal(control.state, 'in production')
      assert.equal(control.walLevel, 'replica')
      assert.equal(control.walLogHints, true)
      assert.equal(control.maxConnections, 33)
      assert.equal(control.dataChecksums, true)
      assert.equal(control.walSegmentBytes, 2 ** 20)
      const limits = await sql.query<{ name: string; setting: string }>(
        `SELECT name, setting FROM pg_settings WHERE name IN
          ('max_worker_processes', 'max_wal_senders', 'max_prepared_transactions', 'max_locks_per_transaction')`,
      )
      assert.deepEqual(Object.fromEntries(limits.map(({ name, setting }) => [name, Number(setting)])), {
        max_worker_processes: control.maxWorkerProcesses,
        max_wal_senders: control.maxWalSenders,
        max_prepared_transactions: control.maxPreparedTransactions,
        max_locks_per_transaction: control.maxLocksPerTransaction,
      })
    })

    test('a stopped server is told from a crashed one', async () => {
      await server.stop('fast')
      assert.equal((await readControlFile(server.dataDirectory)).state, 'shut down')
      await server.start()
      await server.stop('immediate')
      assert.equal((await readControlFile(server.dataDirectory)).state, 'in production')
      await server.start()
    })

    test('the directory of another system is refused', async () => {
      const { systemIdentifier } = await readControlFile(server.dataDirectory)
      await requireSystemIdentifier(server.dataDirectory, systemIdentifier)
      await assert.rejects(requireSystemIdentifier(server.dataDirectory, systemIdentifier + 1n), (error) =>
        isFault(error, postgresFaults['postgres-foreign-system']),
      )
    })

    test('a flipped bit, a cut and an unknown format are faults', async () => {
      const bytes = await readFile(join(server.dataDirectory, 'global', 'pg_control'))
      for (let at = 0; at < 288; at += 7) {
        const damaged = Uint8Array.from(bytes)
        damaged[at]! ^= 1
        assert.ok('corrupt' in parseControlFile(damaged), `byte ${at}`)
      }
      assert.ok('corrupt' in parseControlFile(bytes.subarray(0, 100)))
      await server.stop()
      const path = join(server.dataDirectory, 'global', 'pg_control')
      await writeFile(path, new Uint8Array(8192))
      await assert.rejects(readControlFile(server.dataDirectory), (error) =>
        isFault(error, postgresFaults['postgres-control-file-corrupt']),
      )
      const older = Uint8Array.from(bytes)
      new DataView(older.buffer).setUint32(8, 1201, true)
      await writeFile(path, older)
      await assert.rejects(readControlFile(server.dataDirectory), (error) =>
        isFault(error, postgresFaults['postgres-wrong-major']),
      )
      const damaged = Uint8Array.from(bytes)
      damaged[40]! ^= 1
      await writeFile(path, damaged)
      await assert.rejects(readControlFile(server.dataDirectory), (error) =>
        isFault(error, postgresFaults['postgres-control-file-corrupt']),
      )
      await writeFile(path, bytes)
      await server.start()
    })

    const { pgControldata } = installation.tools
    if (pgControldata !== undefined) {
      test('pg_controldata reads the same', async () => {
        const { stdout } = await promisify(execFile)(pgControldata, ['-D', server.dataDirectory])
        const field = (name: string): string => new RegExp(`^${name}: +(.*)$`, 'm').exec(stdout)?.[1] ?? ''
        const control = await readControlFile(server.dataDirectory)
        assert.equal(field('Database cluster state'), control.state)
        assert.equal(field('Latest checkpoint location'), formatLsn(control.checkpointLsn))
        assert.equal(field("Latest checkpoint's TimeLineID"), String(control.timeline))
        assert.equal(field('Minimum recovery ending location'), formatLsn(control.minRecoveryLsn))
        assert.equal(field('wal_level setting'), control.walLevel)
        assert.equal(field('max_connections setting'), String(control.maxConnections))
      })
    }
  })
}
