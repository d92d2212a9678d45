import assert from 'node:assert/strict'
import { mkdir, mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { repositoryHolds } from '../../src/cli/demo/backup-chapter.ts'
import { prepareDemoCluster, type DemoNode } from '../../src/cli/demo/demo-cluster.ts'
import {
  onNode,
  onPrimary,
  primaryNode,
  shippedCommand,
  waitRedundant,
  type ClusterAccess,
  type DemoContext,
} from '../../src/cli/demo/demo-context.ts'
import { lostRows, type RowId } from '../../src/cli/demo/ledger.ts'
import { eventsSince } from '../../src/cli/demo/node-events.ts'
import { killAll, processesBelow } from '../../src/cli/demo/node-processes.ts'
import {
  createWorkloadTable,
  readWorkloadRows,
  startWorkload,
  workloadTable,
  type Workload,
} from '../../src/cli/demo/workload.ts'
import type { Installation } from '../../src/postgres/installation.ts'
import { withSql, type Sql } from '../../src/postgres/sql.ts'
import { systemClock } from '../../src/std/clock.ts'
import { waitUntil } from '../../src/std/wait-until.ts'
import { formatLsn, parseLsn, type Lsn } from '../../src/wal/core/lsn.ts'
import { compileProgram } from '../support/compiled-program.ts'
import {
  findPgbench,
  initializePgbench,
  pgbenchTransactions,
  preparePgbench,
  startPgbench,
  type PgbenchLoad,
} from '../support/pgbench.ts'
import { testInstallations } from '../support/postgres.ts'
import { watchPrimaries, type PrimaryWatch } from '../support/primary-watch.ts'
import { checkPages, checkTablesAndIndexes, withRestoredCopy } from '../support/restored-copy.ts'
import { digestTables, type TableDigest } from '../support/table-digests.ts'

// The commands run as they are shipped: compiled.
let compiled = ''
let program = ''

before(async () => {
  compiled = await mkdtemp(join(tmpdir(), 'p-'))
  program = compileProgram(compiled)
})

after(() => rm(compiled, { recursive: true, force: true }))

const subjects = [
  { major: 15, source: 'system', scale: 50 },
  { major: 16, source: 'embedded', scale: 5 },
  { major: 17, source: 'embedded', scale: 5 },
  { major: 18, source: 'embedded', scale: 5 },
] as const

for (const { major, source, scale } of subjects) {
  test(`${source} PostgreSQL ${major} with pgbench of scale ${scale}: backup, failover, switchover and restore under load`, async (context) => {
    const found = await testInstallations()
    const installation = found.find((one) => one.major === major && one.source === source)
    if (installation === undefined) return context.skip(`no ${source} PostgreSQL ${major} was found`)
    const pgbench = await findPgbench()
    if (pgbench === undefined) return context.skip('no PostgreSQL with pgbench was found')
    const directory = await mkdtemp(join(tmpdir(), 'b-'))
    try {
      await mkdir(join(directory, 'tmp'))
      await goThroughAll(directory, { installation, pgbench, scale })
      assert.deepEqual(await processesBelow(directory), [])
      assert.deepEqual(await readdir(join(directory, 'tmp')), [])
      for (const node of ['n1', 'n2', 'n3']) {
        const left = (await readdir(join(directory, node))).toSorted()
        assert.deepEqual(left, ['agent.log', 'data', 'holdfast.yaml', 'state'])
      }
    } finally {
      await rm(directory, { recursive: true, force: true, maxRetries: 3 })
    }
  })
}

interface Subject {
  readonly installation: Installation
  readonly pgbench: Installation
  readonly scale: number
}

/** A cluster under load, and the means to look at it and operate it. */
interface Scene extends ClusterAccess, Pick<DemoContext, 'command'> {
  readonly installation: Installation
  readonly load: PgbenchLoad
  readonly workload: Workload
  readonly watch: PrimaryWatch
  readonly tell: (what: string) => void
}

async function goThroughAll(directory: string, { installation, pgbench, scale }: Subject): Promise<void> {
  const { major, binDirectory } = installation
  const environment = { ...process.env, TMPDIR: join(directory, 'tmp') }
  const signal = AbortSignal.timeout(840_000)
  const tell = narrator(major)
  await using cluster = await prepareDemoCluster({ directory, program, environment, major, binDirectory })
  const access: ClusterAccess = { cluster, clock: systemClock, signal }
  await Promise.all(cluster.nodes.map((node) => cluster.startAgent(node)))
  await redundant(access)
  const bench = await preparePgbench(pgbench, cluster)
  await initializePgbench(bench, scale)
  await onPrimary(access, 'the table of the workload', async (sql) => {
    await createWorkloadTable(sql)
    return true
  })
  tell('a cluster with its tables')
  await using watch = watchPrimaries(cluster.targets, 10)
  await using load = startPgbench(bench)
  await using workload = startWorkload({ targets: cluster.targets, writers: 4, pauseMs: 5, clock: systemClock })
  const command = shippedCommand(program, environment, signal)
  const scene: Scene = { ...access, command, installation, load, workload, watch, tell }
  await backUp(scene)
  await loseNode(scene)
  const moment = await passMoment(scene)
  await switchOver(scene)
  const end = await stopLoad(scene)
  await restoreEnd(scene, end)
  await restoreMoment(scene, moment)
}

interface BackupsDocument {
  readonly backups: readonly { readonly id: string; readonly damagedPages: readonly unknown[] }[]
  readonly damaged: readonly unknown[]
  readonly verified: boolean
}

async function backUp(scene: Scene): Promise<void> {
  const { command, tell } = scene
  const primary = await primaryNode(scene)
  const before = await transactions(scene)
  await command(primary, 'backup')
  assert.ok((await transactions(scene)) > before, 'no transaction of pgbench was done during the backup')
  tell('a backup under load')
  const [listing] = (await command(primary, 'backups', '--verify')) as readonly BackupsDocument[]
  assert.deepEqual(
    { backups: listing?.backups.length, damaged: listing?.damaged, verified: listing?.verified },
    { backups: 1, damaged: [], verified: true },
  )
  tell('which is verified')
}

/**
 * Kills the whole primary node under load, when it and the repository have WAL that no standby has: another one takes
 * over, the old one leaves that WAL behind and rejoins, and nothing that was acknowledged is lost.
 */
async function loseNode(scene: Scene): Promise<void> {
  const { cluster, clock, command, installation, load, tell, workload } = scene
  const victim = await primaryNode(scene)
  const starts = load.starts
  await getAhead(scene, victim)
  const struckAt = clock.monotonic()
  await killAll(() => processesBelow(victim.directory))
  const writeAt = await waitUntil(
    `a write after the loss of ${victim.name}`,
    async () => workload.ledger.firstAcknowledgedAfter(struckAt),
    { ...scene, timeoutMs: 120_000 },
  )
  tell(`a write ${Math.round(writeAt - struckAt)} ms after kill -9 of ${victim.name}`)
  await cluster.startAgent(victim)
  await redundant(scene)
  const events = new Set((await eventsSince([victim], struckAt)).map(({ event }) => event))
  const how = installation.tools.pgRewind === undefined ? 'cloned' : 'rewound'
  const done = how === 'cloned' ? 'clone-done' : 'rewound'
  assert.ok(events.has('divergent-wal-kept') && events.has(done), `${victim.name}: ${[...events].join(', ')}`)
  const before = await transactions(scene)
  await waitUntil('pgbench at work again', async () => ((await transactions(scene)) > before ? true : undefined), {
    ...scene,
    timeoutMs: 60_000,
  })
  assert.ok(load.starts > starts, 'pgbench did not notice the loss of its primary')
  await assertNothingLost(scene)
  const status = (await command(victim, 'status')) as { readonly leader: string; readonly acceptsWrites: boolean }
  assert.deepEqual([status.leader, status.acceptsWrites], [(await primaryNode(scene)).name, true])
  tell(`redundant again, ${victim.name} ${how}, nothing lost`)
}

/**
 * Freezes what sends WAL to the standbys until the primary has written more and the repository has that too: nobody can
 * have been told of it, and no restore may bring it back.
 */
async function getAhead(scene: Scene, primary: DemoNode): Promise<void> {
  await redundant(scene)
  const standbys = "from pg_stat_replication where sync_state = 'quorum'"
  const senders = await onNode(primary, (sql) => sql.query<{ pid: number }>(`select pid ${standbys}`))
  assert.equal(senders.length, 2)
  for (const { pid } of senders) process.kill(pid, 'SIGSTOP')
  const aheadTo = async (sql: Sql): Promise<Lsn | undefined> => {
    const [row] = await sql.query<{ lsn: string; ahead: boolean }>(
      `select pg_current_wal_flush_lsn()::text as lsn, pg_current_wal_flush_lsn() > max(sent_lsn) as ahead ${standbys}`,
    )
    return row?.ahead === true ? parseLsn(row.lsn) : undefined
  }
  const lsn = await waitUntil('WAL that no standby has', () => onNode(primary, aheadTo), {
    ...scene,
    timeoutMs: 10_000,
  })
  await repositoryHolds(scene, lsn)
}

/** Hands over under load, on demand. */
async function switchOver(scene: Scene): Promise<void> {
  const from = await primaryNode(scene)
  const outcome = (await scene.command(from, 'switchover')) as { readonly from: string; readonly stage: string }
  assert.deepEqual([outcome.from, outcome.stage], [from.name, 'redundant'])
  await redundant(scene)
  await assertNothingLost(scene)
  scene.tell('handed over on demand, nothing lost')
}

/** A moment in the middle of the load, and what clients had been told before it. */
interface Moment {
  readonly at: string
  readonly acknowledged: ReadonlySet<RowId>
}

async function passMoment(scene: Scene): Promise<Moment> {
  const { ledger } = scene.workload
  const moreRows = (): Promise<true> => {
    const enough = ledger.acknowledged + 100
    const look = async (): Promise<true | undefined> => (ledger.acknowledged >= enough ? true : undefined)
    return waitUntil('100 acknowledged rows more', look, { ...scene, timeoutMs: 60_000 })
  }
  await moreRows()
  const acknowledged = ledger.acknowledgedRows()
  const at = await onNode(await primaryNode(scene), async (sql) => {
    const [row] = await sql.query<{ now: string }>(
      `select to_char(clock_timestamp() at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as now`,
    )
    return row?.now ?? ''
  })
  await moreRows()
  return { at, acknowledged }
}

/** The cluster when nobody writes any more. */
interface End {
  readonly lsn: Lsn
  readonly digests: readonly TableDigest[]
}

/** Stops the clients and compares all nodes row by row. */
async function stopLoad(scene: Scene): Promise<End> {
  const { cluster, load, tell, watch, workload } = scene
  await Promise.all([load.stop(), workload.stop()])
  const primary = await primaryNode(scene)
  await waitUntil('the last transaction of pgbench', () => onNode(primary, noPgbench), { ...scene, timeoutMs: 60_000 })
  const done = await onNode(primary, pgbenchTransactions)
  const lsn = await onNode(primary, async (sql) => {
    const [row] = await sql.query<{ lsn: string }>('select pg_current_wal_insert_lsn()::text as lsn')
    // Recovery to a position ends with a record at or after it, so there has to be one.
    await sql.query("select pg_create_restore_point('end of the load')")
    return parseLsn(row?.lsn ?? '')
  })
  assert.ok(lsn !== undefined)
  const digests = await digestTables(primary.target)
  assert.ok(digests.some(({ table }) => table === 'public.pgbench_accounts'))
  for (const standby of cluster.nodes.filter((node) => node !== primary)) {
    await waitUntil(`${standby.name} at ${formatLsn(lsn)}`, () => hasReplayed(standby, lsn), {
      ...scene,
      timeoutMs: 60_000,
    })
    assert.deepEqual(await digestTables(standby.target), digests, `${standby.name} differs from ${primary.name}`)
  }
  assert.deepEqual(watch.violations, [])
  assert.ok(watch.sightings > 100, `the watch saw only ${watch.sightings} answers of primaries`)
  tell(`${done} transactions of pgbench, ${workload.ledger.acknowledged} rows; all nodes equal row by row`)
  return { lsn, digests }
}

async function noPgbench(sql: Sql): Promise<true | undefined> {
  const [row] = await sql.query("select from pg_stat_activity where application_name = 'pgbench'")
  return row === undefined ? true : undefined
}

function hasReplayed(standby: DemoNode, lsn: Lsn): Promise<true | undefined> {
  return onNode(standby, async (sql) => {
    const [row] = await sql.query<{ there: boolean }>('select pg_last_wal_replay_lsn() >= $1::pg_lsn as there', [
      formatLsn(lsn),
    ])
    return row?.there === true ? true : undefined
  })
}

/** Restored to where the load ended, the copy equals the primary row by row and is sound to the last page and index. */
async function restoreEnd(scene: Scene, end: End): Promise<void> {
  const { installation, tell } = scene
  await using directory = await restore(scene, end.lsn, ['--target-lsn', formatLsn(end.lsn)])
  tell(`restored to ${formatLsn(end.lsn)}`)
  const checked = await checkPages(installation, directory.path)
  await withCopy(scene, directory.path, async (copy) => {
    assert.deepEqual(await digestTables(copy.target), end.digests)
    tell(`equal to the primary row by row${checked ? ', every page sound' : ''}`)
    await checkTablesAndIndexes(copy)
  })
  tell('every table and index sound')
}

/** Restored to a moment, the copy has what was acknowledged before it and nothing from after it. */
async function restoreMoment(scene: Scene, moment: Moment): Promise<void> {
  const { installation, tell, workload } = scene
  await using directory = await restore(scene, undefined, ['--target-time', moment.at])
  tell(`restored to ${moment.at}`)
  await checkPages(installation, directory.path)
  await withCopy(scene, directory.path, async (copy) => {
    await withSql(copy.target, {}, async (sql) => {
      const present = await readWorkloadRows(sql)
      assert.deepEqual(lostRows(moment.acknowledged, present), [])
      assert.deepEqual(workload.ledger.strangers(present), [])
      assert.equal(await rowsAfter(sql, moment), 0)
      assert.ok((await pgbenchTransactions(sql)) > 0)
    })
    await checkTablesAndIndexes(copy)
  })
  const later = await onPrimary(scene, 'the rows after the moment', (sql) => rowsAfter(sql, moment))
  assert.ok(later >= 100, `only ${later} rows were written after the moment`)
  tell(`${moment.acknowledged.size} rows from before are there, none of ${later} from after`)
}

async function rowsAfter(sql: Sql, moment: Moment): Promise<number> {
  const [row] = await sql.query<{ count: number }>(
    `select count(*)::int as count from ${workloadTable} where at > $1::timestamptz`,
    [moment.at],
  )
  if (row === undefined) throw new Error('no answer')
  return row.count
}

/** Restores beside the cluster, on a standby's machine; the directory is removed when disposed. */
async function restore(
  scene: Scene,
  needed: Lsn | undefined,
  target: readonly string[],
): Promise<AsyncDisposable & { readonly path: string }> {
  const { cluster, command } = scene
  if (needed !== undefined) await repositoryHolds(scene, needed + 1n)
  const path = join(cluster.directory, 'restored')
  await command(cluster.node('n2'), 'restore', '--to', path, ...target)
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true }) }
}

function withCopy(
  { cluster, installation }: Scene,
  directory: string,
  look: Parameters<typeof withRestoredCopy>[3],
): Promise<unknown> {
  return withRestoredCopy(installation, directory, cluster.node('n1').target, look)
}

async function assertNothingLost(scene: Scene): Promise<void> {
  const { ledger } = scene.workload
  const acknowledged = ledger.acknowledgedRows()
  const present = await onPrimary(scene, 'the rows', readWorkloadRows)
  assert.deepEqual(lostRows(acknowledged, present), [])
  assert.deepEqual(ledger.strangers(present), [])
  await onNode(await primaryNode(scene), pgbenchTransactions)
  assert.deepEqual(scene.watch.violations, [])
}

/** Transactions of pgbench so far. */
function transactions(scene: ClusterAccess): Promise<number> {
  return onPrimary(scene, 'the transactions of pgbench', async (sql) => {
    const [row] = await sql.query<{ count: number }>('select count(*)::int as count from pgbench_history')
    return row?.count
  })
}

/** A cluster of this size may need longer than the demo's to become redundant. */
function redundant(scene: ClusterAccess): Promise<unknown> {
  return waitUntil('a redundant cluster', () => waitRedundant(scene), { ...scene, timeoutMs: 240_000 })
}

/** Says on the way what was shown, and when. */
function narrator(major: number): (what: string) => void {
  const startedAt = systemClock.monotonic()
  return (what) => {
    const seconds = ((systemClock.monotonic() - startedAt) / 1000).toFixed(1)
    process.stdout.write(`  PostgreSQL ${major}, ${seconds} s: ${what}\n`)
  }
}
