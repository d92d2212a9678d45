import assert from 'node:assert/strict'
import { join } from 'node:path'
import { test } from 'node:test'
import { systemClock } from '../../../src/std/clock.ts'
import { waitUntil } from '../../../src/std/wait-until.ts'
import { prepareCliCluster } from '../../support/cli-cluster.ts'
import type { CliNode } from '../../support/cli-cluster.ts'
import { createTestDirectory } from '../../support/postgres.ts'

interface Status {
  readonly leader: string | null
  readonly verdict: string
  readonly problems: readonly string[]
  readonly nodes: readonly { readonly name: string; readonly role: string }[]
}

const rows = 'SELECT count(*)::int AS n FROM t'

test('stop the agents, restore onto the directory of the last leader, adopt, start: the cluster goes on from then', async () => {
  await using directory = await createTestDirectory()
  await using cluster = await prepareCliCluster(directory.path, ['n1', 'n2'])
  const [n1, n2] = cluster.nodes as [CliNode, CliNode]
  cluster.start(n1)
  await cluster.waitFor<Status>(n1, 'status', ({ leader }) => leader === 'n1')
  cluster.start(n2)
  await cluster.waitFor<Status>(n1, 'status', ({ nodes }) =>
    nodes.some(({ name, role }) => name === 'n2' && role === 'standby'),
  )
  const { moment, deleted } = await cluster.withPrimary(async (sql) => {
    await sql.query('CREATE TABLE t AS SELECT generate_series(1, 100) AS x')
    assert.equal((await cluster.holdfast(n1, 'backup')).code, 0)
    await sql.query('INSERT INTO t VALUES (101)')
    const [now] = await sql.query<{ now: string }>(
      "SELECT (clock_timestamp() AT TIME ZONE 'UTC')::text || '+00' AS now",
    )
    await systemClock.sleep(20)
    await sql.query('DELETE FROM t')
    const [end] = await sql.query<{ lsn: string }>('SELECT pg_current_wal_insert_lsn()::text AS lsn')
    await sql.query('SELECT pg_switch_wal()')
    return { moment: now?.now ?? '', deleted: end?.lsn ?? '' }
  })
  // Recovery needs the commit that comes after the moment.
  const isArchived = async (): Promise<true | undefined> =>
    (await cluster.holdfast(n1, 'restore', '--plan', '--target-lsn', deleted)).code === 0 ? true : undefined
  await waitUntil('the WAL of the mistake in the repository', isArchived, { clock: systemClock, timeoutMs: 120_000 })
  const data = join(directory.path, 'n1', 'data')
  const restore = (...words: readonly string[]) =>
    cluster.holdfast(n1, 'restore', '--delta', '--yes', '--to', data, '--target-time', moment, ...words)
  assert.match((await restore('--adopt')).stderr, /postgres-already-running/)
  await cluster.stop(n2)
  await cluster.stop(n1)
  const looked = await restore()
  assert.equal(looked.code, 0, looked.stderr)
  // Restored only to look at it: the agent leaves it alone.
  cluster.start(n1)
  const why = await cluster.waitFor<Status>(n1, 'status', ({ problems }) =>
    problems.some((one) => one.includes('restored copy')),
  )
  assert.equal(why.nodes.find(({ name }) => name === 'n1')?.role === 'primary', false)
  await cluster.stop(n1)
  const adopted = await restore('--adopt')
  assert.equal(adopted.code, 0, adopted.stderr)
  assert.match(adopted.stdout, /start the agent of this node/)
  cluster.start(n1)
  await cluster.waitFor<Status>(n1, 'status', ({ leader }) => leader === 'n1')
  assert.deepEqual(await cluster.withPrimary((sql) => sql.query(rows)), [{ n: 101 }])
  await cluster.withPrimary((sql) => sql.query('INSERT INTO t VALUES (102)'))
  // The other node holds what was undone; it comes back without that.
  cluster.start(n2)
  await cluster.waitFor<Status>(n1, 'status', ({ nodes }) =>
    nodes.some(({ name, role }) => name === 'n2' && role === 'standby'),
  )
  assert.equal((await cluster.holdfast(n1, 'backup')).code, 0)
  const copy = await cluster.holdfast(n1, 'restore', '--to', join(directory.path, 'again'), '--latest')
  assert.equal(copy.code, 0, copy.stderr)
})
