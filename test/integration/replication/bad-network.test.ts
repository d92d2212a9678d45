import assert from 'node:assert/strict'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { cloneDataDirectory } from '../../../src/postgres/clone/clone-data-directory.ts'
import { openReplicationConnection } from '../../../src/postgres/replication/replication-connection.ts'
import { isFault } from '../../../src/std/fault.ts'
import { createTestServer, type TestServer } from '../../support/postgres.ts'
import { startMeddlingProxy } from './meddling-proxy.ts'

describe('a bad network', () => {
  let server: TestServer
  before(async () => {
    server = await createTestServer()
  })
  after(() => server[Symbol.asyncDispose]())

  for (const atByte of [3_000_000, 7_654_321, 11_111_111, 20_000_001]) {
    test(`that flips a bit at byte ${atByte} never leaves a clone`, async () => {
      await using proxy = await startMeddlingProxy(server.port, 'flip a bit', atByte)
      const dataDirectory = join(server.directory, `flipped-${atByte}`)
      const target = { ...server.replicationTarget, port: proxy.port }
      await assert.rejects(cloneDataDirectory(target, dataDirectory), (error) => {
        // A bit of a file breaks the manifest; one of a message's frame breaks the protocol.
        assert.ok(isFault(error), String(error))
        assert.match(error.code, /^postgres-(clone-damaged|protocol-violated)$/)
        return true
      })
      assert.deepEqual(await readdir(dataDirectory), [])
    })
  }

  test('that cuts the connection is named, and leaves no clone', async () => {
    await using proxy = await startMeddlingProxy(server.port, 'cut the connection', 5_000_000)
    const dataDirectory = join(server.directory, 'cut')
    await assert.rejects(
      cloneDataDirectory({ ...server.replicationTarget, port: proxy.port }, dataDirectory),
      (error) => isFault(error) && error.code === 'postgres-connection-lost',
    )
    assert.deepEqual(await readdir(dataDirectory), [])
  })

  test('that falls silent ends a stream when the server does not answer either', async () => {
    await using proxy = await startMeddlingProxy(server.port, 'stop forwarding', 100_000)
    const target = { ...server.replicationTarget, port: proxy.port }
    await using connection = await openReplicationConnection(target, { timeoutMs: 300 })
    await assert.rejects(
      async () => {
        for await (const part of connection.baseBackup({ label: 'silent', checkpoint: 'fast' })) assert.ok(part)
      },
      (error) => isFault(error) && error.code === 'deadline-passed',
    )
  })

  test('an idle server is asked for a sign of life and stays connected', async () => {
    await using connection = await openReplicationConnection(server.replicationTarget, { timeoutMs: 300 })
    const { flushLsn, timeline } = await connection.identifySystem()
    let keepalives = 0
    for await (const item of await connection.startPhysicalReplication({ startLsn: flushLsn, timeline })) {
      if (item.kind === 'keepalive') keepalives += 1
      if (keepalives === 8) break
    }
    assert.equal((await connection.identifySystem()).timeline, timeline)
  })
})
