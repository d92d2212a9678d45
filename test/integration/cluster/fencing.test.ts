import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { withSql } from '../../../src/postgres/sql.ts'
import { startCluster } from '../../support/cluster.ts'
import { watchPrimaries } from '../../support/primary-watch.ts'
import { startWriters } from '../../support/writers.ts'

describe('the end of a lease', () => {
  it('stops a primary whose agent is frozen, before another leads, and takes the node back later (L1, L4)', async () => {
    await using cluster = await startCluster()
    const first = await cluster.waitRedundant()
    await using writers = await startWriters(cluster.targets, 2)
    await using watch = watchPrimaries(cluster.targets, 10)
    first.pauseAgent()
    const second = await cluster.waitForPrimary({ except: first.name })
    await assert.rejects(
      withSql(first.target, { connectTimeoutMs: 2000 }, (sql) => sql.query('select 1')),
      'the stale primary has been stopped',
    )
    first.resumeAgent()
    await cluster.waitRedundant()
    assert.equal((await cluster.waitForPrimary()).name, second.name)
    assert.deepEqual(await writers.lost(), [])
    assert.deepEqual(watch.violations, [])
  })

  it('lets a new agent go on with the lease of the one before, without a stop of PostgreSQL', async () => {
    await using cluster = await startCluster()
    const first = await cluster.waitRedundant()
    const startedAt = (): Promise<unknown> =>
      withSql(
        first.target,
        {},
        async (sql) => (await sql.query('select pg_postmaster_start_time()::text as at'))[0]?.['at'],
      )
    const before = await startedAt()
    const { term } = (await cluster.view()).leader.value ?? {}
    await first.killAgent()
    await first.start()
    await cluster.waitUntil('the adopted leadership', async () =>
      (await first.events()).some(({ event, adopted }) => event === 'leadership-adopted' && adopted === true),
    )
    await cluster.waitRedundant()
    assert.equal(await startedAt(), before)
    assert.equal((await cluster.view()).leader.value?.term, term)
  })

  it('loses no acknowledged row when a whole node freezes and wakes as a stale primary (L1, L2)', async () => {
    await using cluster = await startCluster()
    const first = await cluster.waitRedundant()
    await using writers = await startWriters(cluster.targets, 3)
    await first.freeze()
    await cluster.waitForPrimary({ except: first.name })
    await first.thaw()
    await cluster.waitRedundant()
    assert.deepEqual(await writers.lost(), [])
  })

  it('goes on after the death of the fencer', async () => {
    await using cluster = await startCluster({ nodes: 1 })
    const only = await cluster.waitForPrimary()
    await only.killFencer()
    await cluster.waitUntil('another fencer', async () =>
      (await only.events()).some(({ event }) => event === 'fencer-replaced'),
    )
    assert.equal((await cluster.waitForPrimary()).name, only.name)
  })
})
