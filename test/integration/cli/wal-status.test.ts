import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { cp, mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { parse, stringify } from 'yaml'
import { root } from '../../../scripts/suite.ts'
import { readControlFile } from '../../../src/postgres/control-file.ts'
import { chooseInstallation } from '../../../src/postgres/installation.ts'
import { startServer } from '../../../src/postgres/server.ts'
import { withSql } from '../../../src/postgres/sql.ts'
import { freePort } from '../../../src/postgres/port.ts'
import { openRepository } from '../../../src/repository/repository.ts'
import { recordGap } from '../../../src/repository/gaps.ts'
import { systemClock, type EpochMs } from '../../../src/std/clock.ts'
import { Secret } from '../../../src/std/secret.ts'
import { openFileSystemStore } from '../../../src/store/file-system-store.ts'
import type { Lsn, TimelineId } from '../../../src/wal/core/lsn.ts'
import { prepareCliCluster, runHoldfast } from '../../support/cli-cluster.ts'
import type { CliCluster, CliNode } from '../../support/cli-cluster.ts'
import { createTestDirectory, testSearch } from '../../support/postgres.ts'

interface Report {
  readonly problems: readonly string[]
  readonly lagBytes: number | null
  readonly lagMs: number | null
  readonly slot: { readonly active: boolean; readonly retainedBytes: number } | null
  readonly archiver: { readonly state: string } | null
  readonly stored: {
    readonly timelines: readonly { readonly timeline: number; readonly newestSegment: string | null }[]
    readonly windows: readonly { readonly from: number; readonly lastCommit: number | null }[]
    readonly gaps: readonly { readonly id: string; readonly open: boolean }[]
  } | null
}

async function walStatus(cluster: CliCluster, node: CliNode): Promise<Report> {
  const { stdout, stderr } = await cluster.holdfast(node, 'wal', 'status', '--json')
  if (stdout === '') throw new Error(stderr)
  return JSON.parse(stdout) as Report
}

async function until(look: () => Promise<Report>, wanted: (report: Report) => boolean): Promise<Report> {
  let last = ''
  for (const start = Date.now(); Date.now() - start < 90_000;) {
    const report = await look()
    if (wanted(report)) return report
    last = JSON.stringify(report)
    await systemClock.sleep(200)
  }
  throw new Error(`wal status last said ${last}`)
}

test(
  'wal status says what is stored, lost and behind; a clone that archives to the same place is refused',
  { timeout: 240_000 },
  async () => {
    await using directory = await createTestDirectory()
    await using cluster = await prepareCliCluster(directory.path, ['n1'])
    const [node] = cluster.nodes
    assert.ok(node !== undefined)
    const before = Date.now()
    cluster.start(node)
    await cluster.waitFor<{ acceptsWrites: unknown }>(node, 'status', ({ acceptsWrites }) => acceptsWrites === true)
    await cluster.withPrimary((sql) => sql.query('CREATE TABLE t (x int)'))
    const look = (): Promise<Report> => walStatus(cluster, node)
    const backup = await cluster.holdfast(node, 'backup')
    assert.equal(backup.code, 0, backup.stderr)
    await cluster.withPrimary((sql) => sql.query('INSERT INTO t VALUES (1)'))
    const complete = await until(
      look,
      ({ lagBytes, stored, archiver, problems }) =>
        lagBytes === 0 &&
        problems.length === 0 &&
        archiver?.state === 'streaming' &&
        stored?.windows.some(({ lastCommit }) => lastCommit !== null) === true,
    )
    const [window] = complete.stored?.windows ?? []
    assert.ok(window !== undefined && window.from >= before && (window.lastCommit ?? 0) >= window.from)
    assert.ok(complete.lagMs !== null && complete.slot?.active === true)

    // What the ledger says is shown by every command that shows the backups.
    const store = await openFileSystemStore({ root: cluster.repositoryPath, clock: systemClock })
    const repository = await openRepository(store, { passphrase: new Secret('passphrase secret') })
    const timeline = 1 as TimelineId
    const lost = { startLsn: (2n ** 40n) as Lsn, endLsn: (2n ** 40n + 2n ** 24n) as Lsn }
    const gap = { timeline, fromTimeline: timeline, ...lost, foundAt: before as EpochMs, because: 'nobody had it' }
    const { id } = await recordGap(repository, 'test', gap)
    const holed = await look()
    assert.deepEqual(
      holed.stored?.gaps.map((entry) => [entry.id, entry.open]),
      [[id, true]],
    )
    assert.deepEqual(holed.problems, ['a stretch of WAL is lost, and no backup lies behind it yet'])
    assert.match(
      (await cluster.holdfast(node, 'wal', 'status')).stdout,
      /lost on timeline 1: 100\/0 to 100\/1000000.*nobody/,
    )
    assert.match(
      (await cluster.holdfast(node, 'status')).stdout,
      /WAL from 100\/0 to 100\/1000000 of timeline 1 is lost/,
    )
    assert.match(
      (await cluster.holdfast(node, 'backups')).stdout,
      /WAL from 100\/0 to 100\/1000000 .*is lost: nobody had it/,
    )

    await cluster.stop(node)
    const data = join(directory.path, 'n1', 'data')
    const copy = join(directory.path, 'clone', 'data')
    await cp(data, copy, { recursive: true })
    cluster.start(node)
    await cluster.waitFor<{ acceptsWrites: unknown }>(node, 'status', ({ acceptsWrites }) => acceptsWrites === true)
    await cluster.withPrimary((sql) => sql.query('INSERT INTO t SELECT generate_series(1, 300)'))
    await until(look, ({ lagBytes }) => lagBytes === 0)
    const refused = await archiveClone(directory.path, node, copy)
    assert.equal(refused.archiver.code, 5, refused.archiver.stderr)
    assert.match(refused.archiver.stderr, /archive-diverged|repository-wal-conflict/)
    assert.ok(refused.archiver.stderr.includes(cluster.repositoryPath), refused.archiver.stderr)
    assert.ok(refused.archiver.stderr.includes(refused.server), refused.archiver.stderr)
    assert.equal(refused.push.code, 5, refused.push.stderr)
    assert.ok(
      refused.push.stderr.includes(cluster.repositoryPath) && refused.push.stderr.includes(copy),
      refused.push.stderr,
    )

    await cluster.stop(node)
    const stopped = await look()
    assert.deepEqual(
      [stopped.lagBytes, stopped.lagMs, stopped.slot],
      [null, null, null],
      'what is not seen is not zero',
    )
    assert.notEqual(stopped.problems.length, 0)
  },
)

/** Starts the copy where it is and has it archive with the configuration of the original, as copies do. */
async function archiveClone(directory: string, node: CliNode, data: string) {
  const state = join(directory, 'clone', 'state')
  await mkdir(join(state, 'run'), { recursive: true, mode: 0o700 })
  const port = await freePort()
  const config = parse(await readFile(node.configFile, 'utf8')) as {
    node: Record<string, string>
    postgres: Record<string, unknown>
  }
  Object.assign(config.node, { dataDirectory: data, stateDirectory: state })
  config.postgres['port'] = port
  const configFile = join(directory, 'clone.yaml')
  await writeFile(configFile, stringify(config))
  const { majorVersion } = await readControlFile(data)
  const installation = await chooseInstallation(testSearch(), { major: majorVersion })
  await using server = await startServer(installation, data, {
    logFile: join(directory, 'clone', 'log'),
    parameters: {
      port: String(port),
      unix_socket_directories: join(state, 'run'),
      synchronous_standby_names: '',
      fsync: 'off',
    },
  })
  void server
  const target = {
    host: join(state, 'run'),
    port,
    user: 'postgres',
    password: new Secret('superuser secret'),
    database: 'postgres',
  }
  const [row] = await withSql(target, {}, async (sql) => {
    await sql.query('INSERT INTO t SELECT -1 FROM generate_series(1, 300)')
    return await sql.query<{ name: string }>('SELECT pg_walfile_name(pg_switch_wal()) AS name')
  })
  const run = (...args: readonly string[]) => runHoldfast([...args, '--config', configFile], data)
  const archiver = await runArchiver(configFile)
  const push = await run('wal', 'push', `pg_wal/${row?.name}`)
  return { archiver, push, server: join(state, 'run') }
}

/** As the agent runs it: until its standard input ends, which it does not here. */
async function runArchiver(configFile: string): Promise<{ readonly code: number | null; readonly stderr: string }> {
  const program = join(root, 'src', 'main.ts')
  const child = spawn(process.execPath, [program, 'archiver', '--config', configFile], {
    stdio: ['pipe', 'ignore', 'pipe'],
  })
  let stderr = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text))
  const [code] = (await once(child, 'close')) as [number | null]
  return { code, stderr }
}
