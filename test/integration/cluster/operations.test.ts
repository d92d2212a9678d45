import assert from 'node:assert/strict'
import { readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { initializeDataDirectory } from '../../../src/postgres/initialize.ts'
import { Secret } from '../../../src/std/secret.ts'
import { startCluster } from '../../support/cluster.ts'
import { testMajors } from '../../support/postgres.ts'
import { startWriters } from '../../support/writers.ts'

describe('operations on a cluster', () => {
  it('switches over to the asked-for standby without losing a row, and back to any', async () => {
    await using cluster = await startCluster()
    const first = await cluster.waitRedundant()
    await using writers = await startWriters(cluster.targets, 3)
    const target = cluster.nodes.findLast((node) => node !== first)
    assert.ok(target !== undefined)
    await cluster.switchover(target.name)
    assert.equal((await cluster.waitForPrimary({ except: first.name })).name, target.name)
    await cluster.waitRedundant()
    await cluster.switchover(null)
    await cluster.waitForPrimary({ except: target.name })
    await cluster.waitRedundant()
    assert.equal((await cluster.view()).switchover.value, null)
    assert.deepEqual(await writers.lost(), [])
  })

  it('hands over when the leader is asked to end, and comes up again after a stop of everything', async () => {
    await using cluster = await startCluster()
    const first = await cluster.waitRedundant()
    await using writers = await startWriters(cluster.targets, 2)
    await first.stop()
    await cluster.waitForPrimary({ except: first.name })
    await first.start()
    const second = await cluster.waitRedundant()
    await Promise.all(cluster.nodes.map((node) => node.stop()))
    for (const node of cluster.nodes) await node.start()
    await cluster.waitForPrimary()
    await cluster.waitRedundant()
    assert.deepEqual(await writers.lost(), [])
    assert.notEqual(second.name, first.name)
  })

  it('does nothing while it is paused, and goes on afterwards', async () => {
    await using cluster = await startCluster()
    const first = await cluster.waitRedundant()
    await cluster.pause('maintenance')
    await cluster.waitUntil('everybody to see it', async () => {
      await first.killPostgres().catch(() => undefined)
      const events = await first.events()
      return events.some(({ event, because }) => event === 'decided' && String(because).includes('HA-007'))
    })
    await cluster.resume()
    await cluster.waitForPrimary()
    await cluster.waitRedundant()
  })

  it('refuses data of another cluster, says so, and leaves it as it is', async () => {
    const [installation] = await testMajors()
    assert.ok(installation !== undefined)
    await using cluster = await startCluster({ installation })
    const primary = await cluster.waitRedundant()
    const standby = cluster.nodes.find((node) => node !== primary)
    assert.ok(standby !== undefined)
    await standby.stop()
    await rm(standby.dataDirectory, { recursive: true })
    await initializeDataDirectory(installation, standby.dataDirectory, {
      superuser: 'postgres',
      password: new Secret('other'),
      durable: false,
    })
    const control = join(standby.dataDirectory, 'global', 'pg_control')
    const before = await readFile(control)
    await standby.start()
    await cluster.waitUntil('the refusal', ({ members }) =>
      members.some(
        (member) => member.node === standby.name && member.state === 'refused' && /system/.test(member.trouble ?? ''),
      ),
    )
    assert.deepEqual(await readFile(control), before)
  })

  it('refuses a second agent for the same state directory', async () => {
    await using cluster = await startCluster({ nodes: 1 })
    const only = await cluster.waitForPrimary()
    const { exitCode, output } = await only.startSecondAgent()
    assert.notEqual(exitCode, 0)
    assert.match(output, /another one runs/)
  })

  it('keeps an event log whose every line names the hash of the one before', async () => {
    const { createHash } = await import('node:crypto')
    await using cluster = await startCluster({ nodes: 1 })
    const only = await cluster.waitForPrimary()
    const lines = (await readFile(join(only.stateDirectory, 'events.jsonl'), 'utf8')).trimEnd().split('\n')
    assert.ok(lines.length > 5)
    let previous = '0'.repeat(64)
    for (const line of lines) {
      assert.equal((JSON.parse(line) as { previous: string }).previous, previous)
      previous = createHash('sha256').update(line).digest('hex')
    }
  })
})
