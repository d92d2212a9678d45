import assert from 'node:assert/strict'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { takeBackup } from '../../src/backup/take-backup.ts'
import { runAgent } from '../../src/cluster/agent/run-agent.ts'
import { openEmbeddedCoordinator } from '../../src/coordinator/embedded/embedded-coordinator.ts'
import { freePort } from '../../src/postgres/port.ts'
import { openSql } from '../../src/postgres/sql.ts'
import { listBackups } from '../../src/repository/catalogue.ts'
import { verifyBackup } from '../../src/repository/verify.ts'
import { systemClock } from '../../src/std/clock.ts'
import type { Clock, EpochMs } from '../../src/std/clock.ts'
import { openLog } from '../../src/std/log.ts'
import { Secret } from '../../src/std/secret.ts'
import { waitUntil } from '../../src/std/wait-until.ts'
import {
  cluster,
  currentLsn,
  durableEnd,
  openArchiveScene,
  startArchiver,
} from '../integration/archive/archive-scene.ts'
import { restore, rowsOf } from '../integration/restore/restore-scene.ts'
import { createTestDirectory, testMajors } from '../support/postgres.ts'

/** Clocks that are set while Holdfast works: nothing is decided by the time of day. */
const hourMs = 3_600_000

interface SettableClock {
  readonly clock: Clock
  /** Sets the time of day. */
  readonly step: (byMs: number) => void
}

function settableClock(): SettableClock {
  let wallMs = 0
  return {
    clock: { ...systemClock, wall: () => (systemClock.wall() + wallMs) as EpochMs },
    step: (byMs) => void (wallMs += byMs),
  }
}

describe('clock steps', { concurrency: false }, () => {
  for (const [what, byMs] of [
    ['back', -hourMs],
    ['forward', hourMs],
  ] as const) {
    test(`an hour ${what} during a backup and archiving: listed in order, whole, restored to its last row`, async () => {
      await using scene = await openArchiveScene({ walSegmentBytes: 2 ** 20 })
      const { server, repository } = scene
      const { clock, step } = settableClock()
      await using archiver = startArchiver(scene, { clock })
      await using sql = await server.sql()
      await sql.query('CREATE TABLE t (x int PRIMARY KEY)')
      const request = { repository, cluster, target: server.target, dataDirectory: server.dataDirectory }
      const plain = await takeBackup(request, { clock, workers: 2 })
      let stepped = false
      const onProgress = ({ stage }: { readonly stage: string }): void => {
        if (stage !== 'copying' || stepped) return
        stepped = true
        step(byMs)
      }
      const crossed = await takeBackup(request, { clock, workers: 2, onProgress })
      assert.ok(stepped)
      const after = await takeBackup(request, { clock, workers: 2 })
      step(-2 * byMs)
      for (let x = 1; x <= 20; x += 1) await sql.query(`INSERT INTO t VALUES (${x})`)
      const end = await currentLsn(sql)
      await archiver.until(({ durableLsn }) => durableLsn !== undefined && durableLsn >= end)
      assert.deepEqual(archiver.statuses.at(-1)?.gaps, [])
      assert.ok(archiver.statuses.every(({ tailAgeMs }) => tailAgeMs >= 0 && tailAgeMs < hourMs / 2))
      assert.ok((await durableEnd(scene, 1, 2 ** 20)) >= end)
      const { backups, damaged } = await listBackups(repository, cluster)
      assert.deepEqual(damaged, [])
      assert.deepEqual(
        backups.map(({ facts }) => facts.backup),
        [plain, crossed, after].map(({ commit }) => commit.facts.backup),
      )
      for (const commit of backups) assert.deepEqual((await verifyBackup(repository, commit)).bad, [])
      await using recovered = await restore(
        scene,
        { kind: 'latest' },
        { backupId: crossed.commit.facts.backup, directory: 'crossed' },
      )
      assert.equal((await rowsOf(recovered)).length, 20)
    })
  }

  test('an agent under lease leads on through steps of an hour: one term, PostgreSQL never restarted', async () => {
    await using directory = await createTestDirectory()
    const [installation] = await testMajors()
    assert.ok(installation !== undefined)
    const { clock, step } = settableClock()
    await using coordinator = await openEmbeddedCoordinator({ file: join(directory.path, 'c.db'), clock })
    const port = await freePort()
    const password = new Secret('superuser secret')
    const stop = new AbortController()
    let term = (): number | null => null
    const terms: number[] = []
    const lost: number[] = []
    const running = runAgent(
      {
        cluster: 'test',
        node: 'n1',
        host: '127.0.0.1',
        port,
        listenAddresses: ['127.0.0.1'],
        apiUrl: null,
        dataDirectory: join(directory.path, 'data'),
        stateDirectory: join(directory.path, 'state'),
        installation,
        coordinator,
        superuser: { name: 'postgres', password },
        replication: { name: 'holdfast_replication', password: new Secret('replication secret') },
        clients: [{ database: 'all', user: 'all', address: '127.0.0.1' }],
        parameters: { shared_buffers: '16MB', max_connections: 20 },
        durability: { mode: 'quorum', standbys: 1 },
        lease: { ttlMs: 5000, renewMs: 300, stopAheadMs: 1500, killAheadMs: 500 },
        priority: 100,
        site: null,
        tags: { noFailover: false, noSync: false, noLoadBalance: false },
        agentVersion: 'test',
        clock,
        log: openLog({ level: 'error' }),
        whileLeading: async (leadership, signal) => {
          terms.push(leadership.term)
          await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }))
          if (!stop.signal.aborted) lost.push(leadership.term)
        },
      },
      { signal: stop.signal, onReady: (agent) => (term = () => agent.status().view?.term ?? null) },
    )
    try {
      const options = { clock: systemClock, timeoutMs: 60_000 }
      await waitUntil('a leader', async () => terms[0], options)
      const target = { host: '127.0.0.1', port, user: 'postgres', password, database: 'postgres' }
      await using sql = await openSql(target)
      const started = async (): Promise<unknown> =>
        (await sql.query('SELECT pg_postmaster_start_time()::text AS at'))[0]
      const before = await started()
      for (const byMs of [-hourMs, 2 * hourMs, -hourMs]) {
        step(byMs)
        // Longer than the lease lasts: a deadline by the time of day would have passed, or never come.
        await systemClock.sleep(6000)
        assert.deepEqual(await started(), before)
      }
      assert.deepEqual([terms, lost, term()], [[1], [], 1])
    } finally {
      stop.abort()
      await running
    }
  })
})
