import assert from 'node:assert/strict'
import { setTimeout as delay } from 'node:timers/promises'
import { describe, it } from 'node:test'
import { withSql } from '../../../src/postgres/sql.ts'
import { startCluster } from '../../support/cluster.ts'
import { startWriters } from '../../support/writers.ts'

describe('durability', () => {
  it('quorum: records with its LSN that no standby is left, goes on, and heals (L8)', async () => {
    await using cluster = await startCluster()
    const primary = await cluster.waitRedundant()
    await using writers = await startWriters(cluster.targets, 1)
    const standbys = cluster.nodes.filter((node) => node !== primary)
    for (const node of standbys) await node.kill()
    await cluster.waitUntil('the recorded downgrade', ({ state }) => (state.value?.degraded?.lsn ?? 0n) > 0n)
    assert.deepEqual((await cluster.view()).state.value?.voters, { names: [primary.name], needed: 1 })
    const before = writers.acknowledged.length
    await cluster.waitUntil('writes that go on', () => writers.acknowledged.length > before + 5)
    for (const node of standbys) await node.start()
    await cluster.waitRedundant()
    assert.equal((await cluster.view()).state.value?.degraded, null)
    assert.deepEqual(await writers.lost(), [])
  })

  it('quorum: after a downgrade no standby that missed commits takes over, only the last leader', async () => {
    await using cluster = await startCluster()
    const primary = await cluster.waitRedundant()
    await using writers = await startWriters(cluster.targets, 1)
    const standbys = cluster.nodes.filter((node) => node !== primary)
    for (const node of standbys) await node.kill()
    await cluster.waitUntil('the recorded downgrade', ({ state }) => (state.value?.degraded ?? null) !== null)
    const before = writers.acknowledged.length
    await cluster.waitUntil('writes that go on', () => writers.acknowledged.length > before + 5)
    await primary.kill()
    for (const node of standbys) await node.start()
    await cluster.waitUntil('two standbys that wait for the last leader', ({ members, leader }) => {
      const frozen = members.filter((member) => member.node !== primary.name && member.frozenForTerm !== null)
      return leader.value === null && frozen.length === 2
    })
    assert.equal((await cluster.view()).leader.value, null)
    await primary.start()
    assert.equal((await cluster.waitForPrimary()).name, primary.name)
    await cluster.waitRedundant()
    assert.deepEqual(await writers.lost(), [])
  })

  it('strict: rather waits than commits without a standby', async () => {
    await using cluster = await startCluster({ nodes: 2, durability: { mode: 'strict', standbys: 1 } })
    const primary = await cluster.waitRedundant()
    const [standby] = cluster.nodes.filter((node) => node !== primary)
    assert.ok(standby !== undefined)
    await standby.kill()
    await cluster.waitUntil('the loss of the standby', ({ members }) => members.length === 1)
    const writing = withSql(primary.target, {}, (sql) => sql.query('create table waiting (n int)')).then(
      () => 'committed',
    )
    // Longer than quorum would have waited; the write commits as soon as the standby is back, never before.
    assert.equal(await Promise.race([writing, delay(5000, 'waiting')]), 'waiting')
    await standby.start()
    assert.equal(await writing, 'committed')
  })

  it('async: fails over to the best standby that is left', async () => {
    await using cluster = await startCluster({ durability: { mode: 'async', standbys: 1 } })
    const first = await cluster.waitRedundant()
    await first.kill()
    await cluster.waitForPrimary({ except: first.name })
    await first.start()
    await cluster.waitRedundant()
  })
})
