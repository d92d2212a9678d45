import assert from 'node:assert/strict'
import { cp, mkdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import type { ConnectionTarget } from '../../../src/postgres/connection-target.ts'
import { readControlFile } from '../../../src/postgres/control-file.ts'
import type { ServerSettings, Upstream } from '../../../src/postgres/core/server-settings.ts'
import { writeServerConfiguration, writeSignalFiles } from '../../../src/postgres/data-directory.ts'
import { postgresFaults } from '../../../src/postgres/faults.ts'
import { writePassFile } from '../../../src/postgres/pass-file.ts'
import { freePort } from '../../../src/postgres/port.ts'
import { requestPromotion } from '../../../src/postgres/postmaster.ts'
import { rewindDataDirectory } from '../../../src/postgres/rewind.ts'
import { startServer } from '../../../src/postgres/server.ts'
import type { RunningServer } from '../../../src/postgres/server.ts'
import { withSql } from '../../../src/postgres/sql.ts'
import type { SqlRow } from '../../../src/postgres/sql.ts'
import { isFault } from '../../../src/std/fault.ts'
import { createTestServer, replicationPassword, replicationUser, testMajors } from '../../support/postgres.ts'
import type { TestServer } from '../../support/postgres.ts'

for (const installation of await testMajors()) {
  describe(`a standby of PostgreSQL ${installation.version} (${installation.source})`, () => {
    let primary: TestServer
    let standby: RunningServer
    let standbyTarget: ConnectionTarget
    let standbySettings: ServerSettings
    let standbyData: string
    let passFile: string

    before(async () => {
      primary = await createTestServer({ installation })
      await ask(primary.target, "SELECT pg_create_physical_replication_slot('node_b', true)")
      await primary.stop()
      standbyData = join(primary.directory, 'standby')
      await cp(primary.dataDirectory, standbyData, { recursive: true })
      passFile = join(primary.directory, 'pgpass')
      await writePassFile(passFile, [
        {
          entry: { host: '*', port: '*', database: '*', user: replicationUser },
          password: replicationPassword,
        },
      ])
      const socketDirectory = join(primary.directory, 'b')
      await mkdir(socketDirectory, { mode: 0o700 })
      standbySettings = {
        ...primary.settings,
        port: await freePort(),
        socketDirectory,
        clusterName: 'node b',
        upstream: upstreamTo(primary.port, 'node b', 'node_b'),
      }
      await writeServerConfiguration(standbyData, standbySettings)
      await writeSignalFiles(standbyData, 'standby')
      await primary.start()
      standby = await startServer(installation, standbyData, { logFile: join(primary.directory, 'standby.log') })
      standbyTarget = { ...primary.target, port: standbySettings.port }
    })
    after(async () => {
      await standby?.[Symbol.asyncDispose]()
      await primary?.[Symbol.asyncDispose]()
    })

    function upstreamTo(port: number, applicationName: string, slot?: string): Upstream {
      return { host: '127.0.0.1', port, user: replicationUser, passFile, slot, applicationName }
    }

    test('follows its primary on its slot, by a password that no configuration has', async () => {
      await ask(primary.target, 'CREATE TABLE t AS SELECT 1 AS i')
      await until(standbyTarget, "SELECT to_regclass('t') IS NOT NULL AS ok", { ok: true })
      assert.deepEqual(await ask(primary.target, 'SELECT application_name, state FROM pg_stat_replication'), [
        { application_name: 'node b', state: 'streaming' },
      ])
      assert.deepEqual(await ask(primary.target, 'SELECT active FROM pg_replication_slots'), [{ active: true }])
      const configuration = await readFile(join(standbyData, 'holdfast.conf'), 'utf8')
      assert.ok(!configuration.includes('secret'))
      assert.equal((await readControlFile(standbyData)).state, 'in archive recovery')
    })

    test('becomes a primary on the next timeline when it is asked to', async () => {
      await requestPromotion(standbyData)
      await until(standbyTarget, 'SELECT NOT pg_is_in_recovery() AS ok', { ok: true })
      await ask(standbyTarget, 'CHECKPOINT')
      assert.equal((await readControlFile(standbyData)).timeline, 2)
    })

    test('the old primary, with writes of its own, rejoins by pg_rewind where there is one', async () => {
      await ask(primary.target, 'INSERT INTO t VALUES (666)')
      await ask(standbyTarget, 'INSERT INTO t VALUES (2)')
      await primary.stop()
      const options = { dryRun: true, deadlineMs: 60_000 }
      const rewind = (dryRun: boolean): ReturnType<typeof rewindDataDirectory> =>
        rewindDataDirectory(installation, primary.dataDirectory, standbyTarget, { ...options, dryRun })
      if (installation.tools.pgRewind === undefined) {
        await assert.rejects(rewind(false), (error) => isFault(error, postgresFaults['postgres-rewind-failed']))
        return
      }
      const planned = await rewind(true)
      assert.ok(planned.needed)
      assert.equal(planned.divergence.timeline, 1)
      const control = await readControlFile(primary.dataDirectory)
      assert.ok(planned.divergence.lsn > planned.commonCheckpoint.lsn && planned.divergence.lsn < control.checkpointLsn)
      assert.deepEqual(await rewind(false), planned)
      const settings = { ...primary.settings, upstream: upstreamTo(standbySettings.port, 'node a') }
      await writeServerConfiguration(primary.dataDirectory, settings)
      await writeSignalFiles(primary.dataDirectory, 'standby')
      await primary.start()
      await until(primary.target, 'SELECT array_agg(i ORDER BY i) = ARRAY[1, 2] AS ok FROM t', { ok: true })
      await primary.stop()
      assert.deepEqual(await rewind(true), { needed: false })
    })

    if (installation.tools.pgRewind !== undefined) {
      test('a rewind that fails says why and that the directory must not be started', async () => {
        const nobody = { ...standbyTarget, port: await freePort() }
        const options = { dryRun: true, deadlineMs: 60_000 }
        await assert.rejects(rewindDataDirectory(installation, primary.dataDirectory, nobody, options), (error) => {
          assert.ok(isFault(error, postgresFaults['postgres-rewind-failed']))
          assert.match(error.message, /refused/)
          return true
        })
      })
    }
  })
}

function ask(target: ConnectionTarget, query: string): Promise<readonly SqlRow[]> {
  return withSql(target, {}, (sql) => sql.query(query))
}

/** Asks until the answer is the expected one; the test's own timeout ends it. */
async function until(target: ConnectionTarget, query: string, expected: SqlRow): Promise<void> {
  await withSql(target, {}, async (sql) => {
    for (;;) {
      const [row] = await sql.query(query)
      if (JSON.stringify(row) === JSON.stringify(expected)) return
      await sql.query('SELECT pg_sleep(0.01)')
    }
  })
}
