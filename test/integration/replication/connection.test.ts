import assert from 'node:assert/strict'
import { appendFile, readFile, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { reloadServer } from '../../../src/postgres/postmaster.ts'
import { openReplicationConnection } from '../../../src/postgres/replication/replication-connection.ts'
import { isFault } from '../../../src/std/fault.ts'
import { Secret } from '../../../src/std/secret.ts'
import type { TimelineId } from '../../../src/wal/core/lsn.ts'
import { createTestServer, testInstallations, type TestServer } from '../../support/postgres.ts'
import { eventually } from './eventually.ts'

const hasCode = (code: string) => (error: unknown) => isFault(error) && error.code === code

for (const installation of await testInstallations()) {
  describe(`replication connection to ${installation.source} ${installation.version}`, () => {
    let server: TestServer
    before(async () => {
      server = await createTestServer({ installation })
    })
    after(() => server[Symbol.asyncDispose]())

    for (const [way, target] of [
      ['TCP', () => server.replicationTarget],
      ['the unix socket', () => ({ ...server.replicationTarget, host: server.socketDirectory })],
    ] as const) {
      test(`authenticates with SCRAM over ${way} and says who the server is`, async () => {
        await using connection = await openReplicationConnection(target())
        await using sql = await server.sql()
        const [row] = await sql.query<{ system_identifier: string; timeline_id: number }>(
          'select system_identifier, timeline_id from pg_control_system(), pg_control_checkpoint()',
        )
        const identity = await connection.identifySystem()
        assert.equal(identity.systemIdentifier, BigInt(row!.system_identifier))
        assert.equal(identity.timeline, row!.timeline_id)
        assert.ok(identity.flushLsn > 0n)
        assert.equal(await connection.walSegmentBytes(), 16 * 1024 * 1024)
        assert.equal(await connection.show('server_version_num'), (await showVersion(server)).toString())
      })
    }

    test('makes, reads and drops a slot, and stays usable after errors of the server', async () => {
      await using connection = await openReplicationConnection(server.replicationTarget)
      assert.equal(await connection.readSlot('mine'), undefined)
      await connection.createPhysicalSlot('lazy', { reserveWal: false })
      assert.deepEqual(await connection.readSlot('lazy'), { kind: 'physical', restartLsn: null, restartTimeline: null })
      await connection.createPhysicalSlot('mine', { reserveWal: true })
      const slot = await connection.readSlot('mine')
      assert.ok(slot?.restartLsn !== null && slot?.restartTimeline === 1)
      await assert.rejects(connection.createPhysicalSlot('mine', { reserveWal: true }), hasCode('postgres-slot-exists'))
      await assert.rejects(connection.createPhysicalSlot('Not ok', { reserveWal: true }), (error) => {
        assert.ok(isFault(error))
        assert.equal(error.code, 'postgres-replication-failed')
        assert.equal(error.details['sqlState'], '42602')
        return true
      })
      await connection.dropSlot('mine')
      await connection.dropSlot('lazy')
      await assert.rejects(connection.dropSlot('mine'), hasCode('postgres-slot-missing'))
      await assert.rejects(connection.timelineHistory(7 as TimelineId), hasCode('postgres-timeline-history-missing'))
      assert.equal((await connection.identifySystem()).timeline, 1)
    })

    test('a wrong password is named as such and not shown', async () => {
      const target = { ...server.replicationTarget, password: new Secret('not the password') }
      await assert.rejects(openReplicationConnection(target), (error) => {
        assert.ok(isFault(error))
        assert.equal(error.code, 'postgres-authentication-failed')
        assert.match(error.message, /password authentication failed/)
        assert.doesNotMatch(JSON.stringify(error), /not the password/)
        return true
      })
    })

    test('an abort leaves no connection behind', async () => {
      await using sql = await server.sql()
      const aborter = new AbortController()
      const connection = await openReplicationConnection(server.replicationTarget, { signal: aborter.signal })
      const { timeline, flushLsn } = await connection.identifySystem()
      const stream = await connection.startPhysicalReplication({ startLsn: flushLsn, timeline })
      const senders = async (): Promise<number> => (await sql.query('select 1 from pg_stat_replication')).length
      await eventually(senders, (count) => count === 1)
      const reading = (async () => {
        for await (const item of stream) assert.ok(item)
      })()
      aborter.abort(new Error('stop it'))
      await assert.rejects(reading, /stop it/)
      await assert.rejects(connection.identifySystem(), /stop it/)
      assert.equal(await eventually(senders, (count) => count === 0), 0)
    })
  })
}

async function showVersion(server: TestServer): Promise<number> {
  await using sql = await server.sql()
  const [row] = await sql.query<{ version: number }>("select current_setting('server_version_num')::int as version")
  return row!.version
}

describe('a server that is not what it should be', () => {
  test('one that wants the password itself, or its MD5 hash, does not get it', async () => {
    await using server = await createTestServer()
    const hba = join(server.dataDirectory, 'pg_hba.conf')
    const rules = await readFile(hba, 'utf8')
    await writeFile(hba, `host replication all 127.0.0.1/32 password\n${rules}`)
    await reloadServer(server.dataDirectory)
    await eventually(
      () =>
        openReplicationConnection(server.replicationTarget).then(
          (connection) => connection[Symbol.asyncDispose](),
          String,
        ),
      (answer) => answer !== undefined,
    )
    await assert.rejects(openReplicationConnection(server.replicationTarget), hasCode('postgres-password-exposed'))
  })

  test('one without a pg_hba line for us is an authentication fault', async () => {
    await using server = await createTestServer()
    await writeFile(join(server.dataDirectory, 'pg_hba.conf'), 'local all all scram-sha-256\n')
    await appendFile(join(server.dataDirectory, 'pg_hba.conf'), 'host all postgres 127.0.0.1/32 scram-sha-256\n')
    await reloadServer(server.dataDirectory)
    const answer = await eventually(
      () =>
        openReplicationConnection(server.replicationTarget).then(
          (connection) => connection[Symbol.asyncDispose](),
          (error: unknown) => error,
        ),
      (answer) => answer !== undefined,
    )
    assert.ok(hasCode('postgres-authentication-failed')(answer), String(answer))
  })

  test('one that accepts and says nothing, or is not there, is unreachable', async () => {
    const silent = createServer((socket) => void socket.on('error', () => {}).resume())
    await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve))
    const address = silent.address()
    assert.ok(address !== null && typeof address === 'object')
    const target = {
      host: '127.0.0.1',
      port: address.port,
      user: 'u',
      password: new Secret('p'),
      database: 'd',
    }
    await assert.rejects(openReplicationConnection(target, { timeoutMs: 200 }), hasCode('postgres-unreachable'))
    const aborter = new AbortController()
    const opening = openReplicationConnection(target, { signal: aborter.signal })
    aborter.abort(new Error('not any more'))
    await assert.rejects(opening, /not any more/)
    await new Promise((resolve) => silent.close(resolve))
    await assert.rejects(openReplicationConnection(target), hasCode('postgres-unreachable'))
    await assert.rejects(
      openReplicationConnection({ ...target, host: '/nonexistent' }),
      hasCode('postgres-unreachable'),
    )
  })
})
