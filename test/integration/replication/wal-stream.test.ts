import assert from 'node:assert/strict'
import { readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { requestPromotion } from '../../../src/postgres/postmaster.ts'
import { openReplicationConnection } from '../../../src/postgres/replication/replication-connection.ts'
import type { WalStreamItem } from '../../../src/postgres/replication/wal-stream.ts'
import type { Sql } from '../../../src/postgres/sql.ts'
import { openSql } from '../../../src/postgres/sql.ts'
import { isFault } from '../../../src/std/fault.ts'
import { parseLsn, type Lsn, type TimelineId } from '../../../src/wal/core/lsn.ts'
import { createTestServer, testMajors, type TestServer } from '../../support/postgres.ts'
import { eventually } from './eventually.ts'
import { startStandby } from './standby.ts'

const segmentBytes = 16n * 1024n * 1024n
const one = 1 as TimelineId

const endOf = (item: Extract<WalStreamItem, { kind: 'wal' }>): Lsn => (item.startLsn + BigInt(item.data.length)) as Lsn
const roundDown = (lsn: Lsn): Lsn => (lsn - (lsn % segmentBytes)) as Lsn
const segmentName = (lsn: Lsn): string =>
  `00000001${(lsn >> 32n).toString(16).padStart(8, '0')}${((lsn & 0xffff_ffffn) / segmentBytes).toString(16).padStart(8, '0')}`.toUpperCase()

async function currentLsn(sql: Sql): Promise<Lsn> {
  const [row] = await sql.query<{ lsn: string }>('select pg_current_wal_flush_lsn() as lsn')
  return parseLsn(row!.lsn)!
}

for (const installation of await testMajors()) {
  describe(`WAL stream of ${installation.source} ${installation.version}`, () => {
    let server: TestServer
    before(async () => {
      server = await createTestServer({ installation })
    })
    after(() => server[Symbol.asyncDispose]())

    test('gives contiguous WAL that is byte for byte in the segments of the server, and moves the slot', async () => {
      await using sql = await server.sql()
      await using connection = await openReplicationConnection(server.replicationTarget)
      await connection.createPhysicalSlot('bytes', { reserveWal: true })
      const startLsn = roundDown(await currentLsn(sql))
      await sql.query('create table filling as select i, repeat(md5(i::text), 20) from generate_series(1, 40000) i')
      const target = await currentLsn(sql)
      assert.ok(target - startLsn > segmentBytes)
      const received: Uint8Array[] = []
      let position = startLsn
      const stream = await connection.startPhysicalReplication({ slot: 'bytes', startLsn, timeline: one })
      for await (const item of stream) {
        if (item.kind !== 'wal') continue
        assert.equal(item.startLsn, position)
        assert.ok(item.serverLsn >= position)
        assert.ok(item.data.length <= 1024 * 1024)
        received.push(item.data)
        position = endOf(item)
        if (position >= target) stream.stop()
      }
      const wal = Buffer.concat(received)
      for (let lsn = startLsn; lsn + segmentBytes <= target; lsn = (lsn + segmentBytes) as Lsn) {
        const file = await readFile(join(server.dataDirectory, 'pg_wal', segmentName(lsn)))
        const at = Number(lsn - startLsn)
        assert.ok(file.equals(wal.subarray(at, at + Number(segmentBytes))), segmentName(lsn))
      }
      assert.ok((await connection.readSlot('bytes'))!.restartLsn! <= startLsn + segmentBytes)

      const again = await connection.startPhysicalReplication({ slot: 'bytes', startLsn: position, timeline: one })
      again.sendFeedback({ write: position, flush: target })
      for await (const item of again) {
        if (item.kind === 'keepalive' || (item.kind === 'wal' && item.startLsn > 0n)) break
        again.sendFeedback({ write: position, flush: target, replyRequested: true })
      }
      assert.equal((await connection.readSlot('bytes'))!.restartLsn, target)
      await connection.dropSlot('bytes')
    })

    test('reports only what was flushed, however often the server asks', async () => {
      await using sql = await server.sql()
      await using connection = await openReplicationConnection({
        ...server.replicationTarget,
        applicationName: 'asked',
      })
      const startLsn = await currentLsn(sql)
      const stream = await connection.startPhysicalReplication({ startLsn, timeline: one })
      stream.sendFeedback({ write: startLsn, flush: startLsn, replyRequested: true })
      await sql.query('create table more as select generate_series(1, 1000) i')
      let walAfter = startLsn
      for await (const item of stream) {
        if (item.kind === 'wal') walAfter = endOf(item)
        if (item.kind === 'keepalive' && walAfter > startLsn) break
        if (item.kind === 'wal') stream.sendFeedback({ write: walAfter, flush: startLsn, replyRequested: true })
        const [row] = await sql.query<{ flush_lsn: string | null; replay_lsn: string | null }>(
          `select flush_lsn, replay_lsn from pg_stat_replication where application_name = 'asked'`,
        )
        assert.ok(row === undefined || row.flush_lsn === null || parseLsn(row.flush_lsn) === startLsn)
        assert.equal(row?.replay_lsn ?? null, null)
      }
      assert.ok(walAfter > startLsn)
    })

    test('a slow consumer stops the socket, and gets everything later', async () => {
      await using sql = await server.sql()
      await using connection = await openReplicationConnection(server.replicationTarget)
      const startLsn = roundDown(await currentLsn(sql))
      await sql.query('create table slow as select i, repeat(md5(i::text), 20) from generate_series(1, 30000) i')
      const target = await currentLsn(sql)
      const stream = await connection.startPhysicalReplication({ startLsn, timeline: one })
      const items = stream[Symbol.asyncIterator]()
      const first = await items.next()
      assert.ok(first.done !== true && first.value.kind === 'wal')
      await eventually(
        async () => connection.paused,
        (paused) => paused,
      )
      let position = endOf(first.value)
      while (position < target) {
        const item = await items.next()
        assert.ok(item.done !== true)
        if (item.value.kind === 'wal') position = endOf(item.value)
      }
      await stream[Symbol.asyncDispose]()
      assert.equal((await connection.identifySystem()).timeline, 1)
    })

    test('WAL that the server has removed is a fault of its own', async () => {
      await using sql = await server.sql()
      await using connection = await openReplicationConnection(server.replicationTarget)
      const startLsn = roundDown(await currentLsn(sql))
      await sql.query('create table gone as select generate_series(1, 1000) i')
      await sql.query('select pg_switch_wal()')
      await sql.query('create table gone2 as select generate_series(1, 1000) i')
      await rm(join(server.dataDirectory, 'pg_wal', segmentName(startLsn)))
      await assert.rejects(
        async () => {
          const stream = await connection.startPhysicalReplication({ startLsn, timeline: one })
          for await (const item of stream) assert.notEqual(item.kind, 'wal')
        },
        (error) => {
          assert.ok(isFault(error), String(error))
          assert.equal(error.code, 'postgres-wal-removed')
          assert.equal(error.details['sqlState'], '58P01')
          return true
        },
      )
      assert.equal((await connection.identifySystem()).timeline, 1)
    })

    test('a promoted standby ends the timeline where its history says, and begins the next', async () => {
      await using standby = await startStandby(server, 'promoted')
      await using connection = await openReplicationConnection(standby.replicationTarget)
      const { flushLsn, timeline } = await connection.identifySystem()
      assert.equal(timeline, 1)
      const stream = await connection.startPhysicalReplication({ startLsn: roundDown(flushLsn), timeline })
      await requestPromotion(standby.dataDirectory)
      let position = roundDown(flushLsn)
      let last: WalStreamItem | undefined
      for await (const item of stream) {
        last = item
        if (item.kind === 'wal') position = endOf(item)
      }
      assert.ok(last?.kind === 'timeline-end')
      assert.equal(last.nextTimeline, 2)
      assert.equal(last.switchLsn, position)
      const history = await connection.timelineHistory(2 as TimelineId)
      assert.equal(history.fileName, '00000002.history')
      assert.deepEqual(
        Buffer.from(history.content),
        await readFile(join(standby.dataDirectory, 'pg_wal', history.fileName)),
      )
      const over = await connection.startPhysicalReplication({ startLsn: last.switchLsn, timeline: one })
      assert.deepEqual(await Array.fromAsync(over), [last])
      await using sql = await openSql(standby.target)
      await eventually(
        async () => (await sql.query<{ waiting: boolean }>('select pg_is_in_recovery() as waiting'))[0]!.waiting,
        (waiting) => !waiting,
      )
      await sql.query('create table after_promotion (i int)')
      const next = await connection.startPhysicalReplication({ startLsn: last.switchLsn, timeline: last.nextTimeline })
      for await (const item of next) {
        if (item.kind === 'keepalive') continue
        assert.ok(item.kind === 'wal' && item.startLsn === last.switchLsn)
        break
      }
    })

    test('a server that stops has sent everything first and says so', async () => {
      await using sql = await server.sql()
      await sql.query('create table last_words as select generate_series(1, 1000) i')
      const startLsn = roundDown(await currentLsn(sql))
      await sql.close()
      await using connection = await openReplicationConnection(server.replicationTarget)
      const stream = await connection.startPhysicalReplication({ startLsn, timeline: one })
      let stopping: Promise<void> | undefined
      let last: WalStreamItem | undefined
      let position = startLsn
      for await (const item of stream) {
        last = item
        if (item.kind === 'wal') position = endOf(item)
        stream.sendFeedback({ write: position, flush: position })
        stopping ??= server.stop('fast')
      }
      assert.equal(last?.kind, 'server-shutdown')
      await stopping
      await assert.rejects(
        connection.identifySystem(),
        (error) => isFault(error) && error.code === 'postgres-connection-lost',
      )
    })
  })
}
