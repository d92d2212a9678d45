import assert from 'node:assert/strict'
import { copyFile, chmod, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import type { TlsOptions } from '../../../src/postgres/connection-target.ts'
import { openReplicationConnection } from '../../../src/postgres/replication/replication-connection.ts'
import { isFault } from '../../../src/std/fault.ts'
import { createTestServer, testMajors, type TestServer } from '../../support/postgres.ts'

const fixtures = join(import.meta.dirname, '../../fixtures/replication/tls')
const hasCode = (code: string) => (error: unknown) => isFault(error) && error.code === code

for (const installation of await testMajors()) {
  describe(`encrypted replication connection to ${installation.source} ${installation.version}`, () => {
    let server: TestServer
    let verified: TlsOptions
    before(async () => {
      server = await createTestServer({ installation })
      const key = join(server.directory, 'server.key')
      await copyFile(join(fixtures, 'server.key'), key)
      await chmod(key, 0o600)
      await server.stop()
      await server.start({ ssl: 'on', ssl_cert_file: join(fixtures, 'server.pem'), ssl_key_file: key })
      verified = { mode: 'verify-full', authority: await readFile(join(fixtures, 'authority.pem'), 'utf8') }
    })
    after(() => server[Symbol.asyncDispose]())

    test('with a verified certificate streams a base backup and WAL', async () => {
      await using connection = await openReplicationConnection({
        ...server.replicationTarget,
        host: 'localhost',
        tls: verified,
      })
      await using sql = await server.sql()
      const [row] = await sql.query<{ ssl: boolean }>(
        `select ssl from pg_stat_ssl join pg_stat_activity using (pid) where backend_type = 'walsender'`,
      )
      assert.equal(row?.ssl, true)
      let receivedBytes = 0
      for await (const part of connection.baseBackup({ label: 'tls', checkpoint: 'fast' })) {
        if (part.kind === 'data') receivedBytes += part.data.length
      }
      assert.ok(receivedBytes > 10_000_000)
      const { flushLsn, timeline } = await connection.identifySystem()
      const stream = await connection.startPhysicalReplication({ startLsn: flushLsn, timeline })
      await sql.query('create table encrypted as select 1 as i')
      for await (const item of stream) if (item.kind === 'wal') break
      assert.equal((await connection.identifySystem()).timeline, 1)
    })

    test('refuses a certificate of another authority, and one that does not name the host', async () => {
      const other = await readFile(join(fixtures, 'other-authority.pem'), 'utf8')
      const target = { ...server.replicationTarget, host: 'localhost' }
      await assert.rejects(
        openReplicationConnection({ ...target, tls: { mode: 'verify-full', authority: other } }),
        hasCode('postgres-tls-failed'),
      )
      await assert.rejects(
        openReplicationConnection({ ...target, host: '127.0.0.1', tls: verified }),
        hasCode('postgres-tls-failed'),
      )
      await using connection = await openReplicationConnection({
        ...target,
        host: '127.0.0.1',
        tls: { mode: 'require' },
      })
      assert.equal((await connection.identifySystem()).timeline, 1)
    })

    test('an abort ends it', async () => {
      const aborter = new AbortController()
      const target = { ...server.replicationTarget, host: 'localhost', tls: verified }
      const connection = await openReplicationConnection(target, { signal: aborter.signal })
      aborter.abort(new Error('stop'))
      await assert.rejects(connection.identifySystem(), /stop/)
    })
  })
}

test('a server without TLS is refused when TLS is asked for', async () => {
  await using server = await createTestServer()
  await assert.rejects(
    openReplicationConnection({ ...server.replicationTarget, tls: { mode: 'require' } }),
    hasCode('postgres-tls-failed'),
  )
})
