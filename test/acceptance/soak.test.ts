import assert from 'node:assert/strict'
import { mkdtemp, readdir, readFile, readlink, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { prepareDemoCluster, type DemoNode } from '../../src/cli/demo/demo-cluster.ts'
import { onNode, onPrimary, primaryNode, waitRedundant, type ClusterAccess } from '../../src/cli/demo/demo-context.ts'
import { lostRows } from '../../src/cli/demo/ledger.ts'
import { killAll, postmasterPid, processesBelow } from '../../src/cli/demo/node-processes.ts'
import { createWorkloadTable, readWorkloadRows, startWorkload } from '../../src/cli/demo/workload.ts'
import { systemClock } from '../../src/std/clock.ts'
import { seededRandom } from '../../src/std/random.ts'
import { waitUntil } from '../../src/std/wait-until.ts'
import { assertSecretsKept } from '../support/kept-secrets.ts'
import { watchPrimaries } from '../support/primary-watch.ts'

const program = fileURLToPath(new URL('../../src/main.ts', import.meta.url))
const failovers = 20
// A crash of PostgreSQL alone is mostly no failover: its leader starts it again. This many strikes are surely enough.
const mostStrikes = 120
const seed = Number(process.env['HOLDFAST_SEED'] ?? Math.floor(Math.random() * 1_000_000))

const kinds = ['node', 'node', 'agent and fencer', 'fencer', 'postgres'] as const
type Strike = (typeof kinds)[number]

test(`${failovers} failovers in a row by random kills lose nothing, never make two primaries and keep every secret (L1, L2, L4, L10; HOLDFAST_SEED=${seed})`, async () => {
  const directory = await mkdtemp(join(tmpdir(), 's-'))
  try {
    await soak(directory)
    assert.deepEqual(await processesBelow(directory), [])
  } finally {
    await rm(directory, { recursive: true, force: true })
  }
})

async function soak(directory: string): Promise<void> {
  await using cluster = await prepareDemoCluster({ directory, program, environment: process.env, major: undefined })
  const access: ClusterAccess = { cluster, clock: systemClock, signal: AbortSignal.timeout(1_200_000) }
  const random = seededRandom(seed)
  await Promise.all(cluster.nodes.map((node) => cluster.startAgent(node)))
  await onPrimary(access, 'the table of the workload', async (sql) => {
    await createWorkloadTable(sql)
    return true
  })
  await waitRedundant(access)
  await using workload = startWorkload({ targets: cluster.targets, writers: 4, pauseMs: 5, clock: systemClock })
  await using watch = watchPrimaries(cluster.targets, 10)
  const firstTerm = await termOf(access)
  let term = firstTerm
  for (let strikes = 0; term - firstTerm < failovers; strikes += 1) {
    assert.ok(strikes < mostStrikes, `only ${term - firstTerm} failovers after ${strikes} strikes`)
    const kind = kinds[Math.floor(random() * kinds.length)] ?? 'node'
    await systemClock.sleep(random() * 500)
    const victim = await primaryNode(access)
    const struckAt = systemClock.monotonic()
    await strike(kind, victim)
    const writeAt = await waitUntil(
      `a write after killing ${kind} of ${victim.name}`,
      async () => workload.ledger.firstAcknowledgedAfter(struckAt),
      { clock: systemClock, timeoutMs: 60_000 },
    )
    if (kind === 'node' || kind === 'agent and fencer') await cluster.startAgent(victim)
    await waitRedundant(access)
    term = await termOf(access)
    const acknowledged = workload.ledger.acknowledgedRows()
    const present = await onPrimary(access, 'the rows', readWorkloadRows)
    assert.deepEqual(lostRows(acknowledged, present), [], `lost after killing ${kind} of ${victim.name}`)
    assert.deepEqual(workload.ledger.strangers(present), [])
    assert.deepEqual(watch.violations, [])
    process.stdout.write(
      `  strike ${strikes + 1}: ${kind} of ${victim.name}, ${Math.round(writeAt - struckAt)} ms to a write, ${Math.round(systemClock.monotonic() - struckAt)} ms to redundancy, ${acknowledged.size} rows, term ${term}\n`,
    )
  }
  await assertBounded(access)
  const kept = await assertSecretsKept(cluster)
  assert.ok(
    kept.files > 1000 && kept.processes > 10,
    `only ${kept.files} files and ${kept.processes} processes looked at`,
  )
  assert.ok(watch.sightings > 1000, `the watch saw only ${watch.sightings} answers of primaries`)
}

async function strike(kind: Strike, node: DemoNode): Promise<void> {
  switch (kind) {
    case 'postgres':
      process.kill(await postmasterPid(node.dataDirectory), 'SIGKILL')
      return
    case 'fencer':
      process.kill(await parentOf(await postmasterPid(node.dataDirectory)), 'SIGKILL')
      return
    case 'agent and fencer':
      // PostgreSQL is left to die with its fencer.
      await killAll(() => ownProcesses(node))
      return
    case 'node':
      await killAll(() => processesBelow(node.directory))
      return
    default:
      kind satisfies never
  }
}

/** The node's processes that run our program: agent, fencer, archiver. */
async function ownProcesses(node: DemoNode): Promise<number[]> {
  const pids = await processesBelow(node.directory)
  const programs = await Promise.all(pids.map((pid) => readlink(`/proc/${pid}/exe`).catch(() => '')))
  return pids.filter((_, index) => programs[index] === process.execPath)
}

async function parentOf(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/stat`, 'utf8')
  return Number(status.slice(status.lastIndexOf(')') + 2).split(' ')[1])
}

async function termOf(access: ClusterAccess): Promise<number> {
  return await onPrimary(access, 'the term', async (sql) => {
    const [row] = await sql.query<{ term: number }>('select max(term)::int as term from holdfast.term')
    return row?.term
  })
}

/** Slots, WAL, descriptors and leftovers do not grow with the number of failovers. */
async function assertBounded({ cluster }: ClusterAccess): Promise<void> {
  for (const node of cluster.nodes) {
    const [row] = await onNode(node, (sql) =>
      sql.query<{ slots: number; wal: number }>(
        'select (select count(*)::int from pg_replication_slots) as slots, (select sum(size)::float8 from pg_ls_waldir()) as wal',
      ),
    )
    assert.ok(row !== undefined && row.slots <= 3, `${node.name} has ${row?.slots} slots`)
    assert.ok(row.wal < 1.5 * 2 ** 30, `${node.name} keeps ${row.wal} bytes of WAL`)
    for (const pid of await processesBelow(node.directory)) {
      const open = (await readdir(`/proc/${pid}/fd`).catch(() => [])).length
      assert.ok(open < 200, `process ${pid} of ${node.name} has ${open} descriptors open`)
    }
    const left = (await readdir(node.directory)).filter((name) => /partial|aside|tmp/.test(name))
    assert.deepEqual(left, [], `left beside ${node.name}'s data`)
  }
}
