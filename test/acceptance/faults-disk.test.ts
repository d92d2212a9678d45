import assert from 'node:assert/strict'
import { readFile, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import type { ConnectionTarget } from '../../src/postgres/connection-target.ts'
import { openSql } from '../../src/postgres/sql.ts'
import { systemClock } from '../../src/std/clock.ts'
import { Secret } from '../../src/std/secret.ts'
import { waitUntil } from '../../src/std/wait-until.ts'
import { prepareCliCluster } from '../support/cli-cluster.ts'
import type { CliCluster, CliNode } from '../support/cli-cluster.ts'
import { createTestDirectory } from '../support/postgres.ts'
import { openSmallDisks } from '../support/small-disk.ts'
import type { SmallDisks } from '../support/small-disk.ts'
import { startWriters } from '../support/writers.ts'

/** Full disks under running clusters of shipped commands: what is acknowledged stays, and freed space is all it takes. */
interface Status {
  readonly term: number
  readonly leader: string | null
  readonly problems: readonly string[]
  readonly nodes: readonly { readonly name: string; readonly state: string; readonly sync: string | null }[]
}

interface Scene extends AsyncDisposable {
  readonly directory: string
  readonly cluster: CliCluster
  readonly disks: SmallDisks
  readonly nodes: readonly CliNode[]
  readonly targets: readonly ConnectionTarget[]
}

/** A running cluster whose first node sees small disks of so many megabytes on these places. */
async function openScene(
  names: readonly string[],
  places: Readonly<Record<string, number>>,
): Promise<Scene | undefined> {
  await using stack = new AsyncDisposableStack()
  const directory = stack.use(await createTestDirectory()).path
  const sizes = new Map(Object.entries(places).map(([place, megabytes]) => [join(directory, place), megabytes]))
  const opened = await openSmallDisks(sizes)
  if (opened === undefined) return undefined
  const disks = stack.use(opened)
  const launchers = new Map([[names[0] ?? '', disks.launcher]])
  const cluster = stack.use(await prepareCliCluster(directory, names, { launchers }))
  const [first, ...others] = cluster.nodes as [CliNode, ...CliNode[]]
  cluster.start(first)
  await cluster.waitFor<Status>(first, 'status', (status) => isServing(status, first.name))
  for (const node of others) cluster.start(node)
  await cluster.waitFor<Status>(
    first,
    'status',
    ({ nodes }) => nodes.filter(({ sync }) => sync === 'quorum').length === others.length,
  )
  const target = { host: '127.0.0.1', user: 'postgres', password: new Secret('superuser secret'), database: 'postgres' }
  const owned = stack.move()
  return {
    directory,
    cluster,
    disks,
    nodes: cluster.nodes,
    targets: cluster.nodes.map(({ port }) => ({ ...target, port })),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}

function isServing({ leader, nodes }: Status, name: string): boolean {
  return leader === name && nodes.some((node) => node.name === name && node.state === 'running')
}

/** Writes WAL, and nothing but WAL, until the server gives up or has written so many megabytes. */
async function pourWal(target: ConnectionTarget, megabytes: number): Promise<void> {
  try {
    await using sql = await openSql(target)
    for (let written = 0; written < megabytes; written += 1) {
      await sql.query(`select pg_logical_emit_message(true, 'fill', repeat('x', 1000000))`)
    }
  } catch {
    // It has crashed, as it should.
  }
}

const noNamespaces = 'a small disk needs user namespaces, which this system does not allow'
const says = (what: RegExp) => (status: Status) => status.problems.some((problem) => what.test(problem))

describe('a full disk', { concurrency: false }, () => {
  test('under a primary with a standby: one hand-over, no acknowledged row lost, and the node comes back', async (t) => {
    await using scene = await openScene(['n1', 'n2'], { n1: 96 })
    if (scene === undefined) return t.skip(noNamespaces)
    const { cluster, disks, directory, targets } = scene
    const [n1, n2] = scene.nodes as [CliNode, CliNode]
    const disk = join(directory, 'n1')
    await using writers = await startWriters(targets, 2)
    await disks.fill(disk, 0)
    // First PostgreSQL refuses rows, as it can; status says why although nothing has ended.
    await cluster.waitFor<Status>(n2, 'status', says(/^n1: the file system of the data directory is full/))
    await pourWal(targets[0] as ConnectionTarget, 20)
    await cluster.waitFor<Status>(n2, 'status', (status) => isServing(status, 'n2'))
    const acknowledged = writers.acknowledged.length
    await waitUntil('rows acknowledged by n2', async () => writers.acknowledged.length > acknowledged || undefined, {
      clock: systemClock,
      timeoutMs: 20_000,
    })
    const stuck = await cluster.waitFor<Status>(n2, 'status', says(/^n1: .*(full|no space left)/i))
    assert.equal(stuck.term, 2, 'the lease did not wander')
    await disks.free(disk)
    const healed = await cluster.waitFor<Status>(n2, 'status', ({ nodes }) =>
      nodes.some(({ name, sync }) => name === 'n1' && sync === 'quorum'),
    )
    assert.equal(healed.term, 2)
    await writers.stop()
    assert.deepEqual(await writers.lost(), [])
    const events = await readFile(join(disks.seen(disk), 'state', 'events.jsonl'), 'utf8')
    for (const line of events.trimEnd().split('\n')) assert.doesNotThrow(() => JSON.parse(line) as unknown, line)
    assert.equal((await cluster.holdfast(n1, 'status')).code, 3)
  })

  test('under a primary alone: down, status says why, no thrashing, and freed space brings everything back', async (t) => {
    await using scene = await openScene(['n1'], { n1: 96 })
    if (scene === undefined) return t.skip(noNamespaces)
    const { cluster, disks, directory, targets } = scene
    const [n1] = scene.nodes as [CliNode]
    const disk = join(directory, 'n1')
    await using writers = await startWriters(targets, 2)
    await disks.fill(disk, 0)
    await pourWal(targets[0] as ConnectionTarget, 20)
    const down = await cluster.waitFor<Status>(n1, 'status', says(/^n1: .*(full|no space left)/i))
    await cluster.waitFor<Status>(n1, 'status', ({ nodes }) => nodes[0]?.state === 'stopped')
    assert.deepEqual([down.term, down.leader], [1, 'n1'])
    assert.equal((await cluster.holdfast(n1, 'status')).code, 1)
    await disks.free(disk)
    const up = await cluster.waitFor<Status>(n1, 'status', (status) => isServing(status, 'n1'))
    assert.equal(up.term, 1)
    await writers.stop()
    assert.deepEqual(await writers.lost(), [])
  })

  test('in the spool and in the repository: WAL waits on the primary, status says so, backups fail and list nothing', async (t) => {
    await using scene = await openScene(['n1'], { repository: 24, 'n1/state/spool': 8 })
    if (scene === undefined) return t.skip(noNamespaces)
    const { cluster, disks, directory, targets } = scene
    const [n1] = scene.nodes as [CliNode]
    const [target] = targets as [ConnectionTarget]
    assert.equal((await cluster.holdfast(n1, 'backup')).code, 0)
    for (const [disk, wanted] of [
      [join(directory, 'n1', 'state', 'spool'), /archiver is retrying: Cannot write \S*spool\S*: no space left/],
      [directory, /archiver is \w+: Cannot write object test\/\S+: no space left/],
    ] as const) {
      const place = disk === directory ? join(directory, 'repository') : disk
      await disks.fill(place, 0)
      await pourWal(target, 4)
      await cluster.waitFor<Status>(n1, 'status', says(wanted))
      if (place !== disk) {
        const failed = await cluster.holdfast(n1, 'backup')
        assert.equal(failed.code, 1, failed.stderr)
        assert.match(failed.stderr, /^Cannot write object .*: no space left on the file system \(ENOSPC\)\n/)
        assert.match(failed.stderr, /\n {2}hint: Free space .*\n {2}\(disk-full\)\n$/)
      }
      await disks.free(place)
      await cluster.waitFor<Status>(n1, 'status', ({ problems }) =>
        problems.every((problem) => !/archiver|WAL/.test(problem)),
      )
    }
    const listed = await cluster.holdfast(n1, 'backups', '--verify', '--json')
    assert.equal(listed.code, 0, listed.stdout)
    const [local] = JSON.parse(listed.stdout) as { backups: unknown[] }[]
    assert.equal(local?.backups.length, 1)
    // Nothing is missing: what was written meanwhile can be restored.
    await using sql = await openSql(target)
    await sql.query('create table after_all as select 1 as n')
    assert.equal((await cluster.holdfast(n1, 'backup')).code, 0)
    assert.deepEqual(await readdir(join(disks.seen(directory), 'repository', 'test', 'sessions')).catch(() => []), [])
    const restored = await cluster.holdfast(n1, 'restore', '--to', join(directory, 'r'), '--set', 'shared_buffers=16MB')
    assert.equal(restored.code, 0, restored.stderr)
  })
})
