import assert from 'node:assert/strict'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { openReadWriteSql } from '../../../src/postgres/read-write-connection.ts'
import { withSql } from '../../../src/postgres/sql.ts'
import { startCluster } from '../../support/cluster.ts'
import type { TestCluster, TestNode } from '../../support/cluster.ts'
import { testInstallations } from '../../support/postgres.ts'
import { startWriters } from '../../support/writers.ts'

async function eventNames(node: TestNode): Promise<readonly unknown[]> {
  return (await node.events()).map(({ event }) => event)
}

/** Rows that only this node has: it writes them when the others are gone, and is lost before it goes on without them. */
async function writeAlone(cluster: TestCluster, primary: TestNode): Promise<void> {
  const others = cluster.nodes.filter((node) => node !== primary)
  for (const node of others) await node.kill()
  // Nobody acknowledges it, so it waits until the server is killed; its WAL is on disk before it begins to wait.
  const outcome = withSql(primary.target, {}, (sql) =>
    sql.query('insert into ledger select generate_series(1000001, 1020000)'),
  ).then(
    () => 'acknowledged',
    () => 'lost',
  )
  await withSql(primary.target, {}, async (sql) => {
    for (;;) {
      const [row] = await sql.query<{ waits: boolean }>(
        `select exists (select from pg_stat_activity where wait_event = 'SyncRep' and query like 'insert into ledger select%') as waits`,
      )
      if (row?.waits === true) return
    }
  })
  await primary.kill()
  assert.equal(await outcome, 'lost')
  for (const node of others) await node.start()
}

describe('a cluster of three nodes', () => {
  it('survives the loss of postgres, of a node and of its data, and loses no acknowledged row', async () => {
    await using cluster = await startCluster()
    await cluster.waitRedundant()
    await using writers = await startWriters(cluster.targets, 3)

    const first = await cluster.waitForPrimary()
    await withSql(first.target, {}, (sql) => sql.query('checkpoint'))
    await first.killPostgres()
    await cluster.waitUntil('the restart of a server with little WAL to replay', async () =>
      (await first.events()).some(({ event, because }) => event === 'decided' && String(because).includes('HA-061')),
    )
    await cluster.waitRedundant()

    await first.kill()
    const second = await cluster.waitForPrimary({ except: first.name })
    assert.deepEqual(await writers.lost(), [])
    await first.start()
    await cluster.waitRedundant()

    await writers.stop()
    await writeAlone(cluster, second)
    const third = await cluster.waitForPrimary({ except: second.name })
    await second.start()
    await cluster.waitRedundant()
    assert.deepEqual(await writers.lost(), [])
    assert.ok((await eventNames(second)).includes('divergent-wal-kept'))
    assert.equal((await readdir(join(second.stateDirectory, 'divergent'))).length, 1)
    const timelines = (await cluster.view()).members.map((member) => member.timeline)
    assert.equal(new Set(timelines).size, 1)
    await using sql = await openReadWriteSql([third.target])
    const [row] = await sql.query<{ count: number }>('select count(*)::int as count from ledger where number > 1000000')
    assert.equal(row?.count, 0, 'what nobody acknowledged and only the lost node had is gone')
  })

  it('hands over at once when the crashed primary has much WAL to replay', async () => {
    await using cluster = await startCluster({ parameters: { max_wal_size: '2GB', checkpoint_timeout: '1h' } })
    const first = await cluster.waitRedundant()
    await using writers = await startWriters(cluster.targets, 2)
    await withSql(first.target, {}, async (sql) => {
      await sql.query(
        'create table bulk as select repeat(md5(i::text), 30) as filler from generate_series(1, 250000) as i',
      )
    })
    await cluster.waitRedundant()
    writers.forgetGaps()
    await first.killPostgres()
    const second = await cluster.waitForPrimary({ except: first.name })
    assert.ok((await eventNames(first)).includes('lease-released'))
    await cluster.waitRedundant()
    assert.deepEqual(await writers.lost(), [])
    assert.notEqual(second.name, first.name)
  })

  it('rewinds a node that has left the history where pg_rewind exists', async (test) => {
    const installation = (await testInstallations()).find(({ tools }) => tools.pgRewind !== undefined)
    if (installation === undefined) return test.skip('no PostgreSQL with pg_rewind is installed')
    await using cluster = await startCluster({ installation })
    const first = await cluster.waitRedundant()
    await using writers = await startWriters(cluster.targets, 1)
    await writers.stop()
    await writeAlone(cluster, first)
    await cluster.waitForPrimary({ except: first.name })
    await first.start()
    await cluster.waitRedundant()
    const names = await eventNames(first)
    assert.ok(names.includes('rewound') && names.includes('divergent-wal-kept'))
    assert.deepEqual(await writers.lost(), [])
  })
})
