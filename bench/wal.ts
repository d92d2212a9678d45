import { spawn, spawnSync } from 'node:child_process'
import { cp, mkdir, readFile, readdir, rename, rm, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { readPostmasterPid } from '../src/postgres/postmaster.ts'
import { startServer } from '../src/postgres/server.ts'
import { withSql } from '../src/postgres/sql.ts'
import { segmentStart } from '../src/repository/core/object-names.ts'
import { recover } from '../src/restore/recover.ts'
import { runRestore } from '../src/restore/run-restore.ts'
import { systemClock as clock } from '../src/std/clock.ts'
import { formatLsn, parseLsn, type Lsn } from '../src/wal/core/lsn.ts'
import { runUnprivileged, runsAsRoot } from '../src/std/unprivileged.ts'
import { waitUntil } from '../src/std/wait-until.ts'
import { openArchiveScene, startArchiver } from '../test/integration/archive/archive-scene.ts'
import type { ArchiveScene } from '../test/integration/archive/archive-scene.ts'
import { backUp, plan } from '../test/integration/restore/restore-scene.ts'
import { compileProgram } from '../test/support/compiled-program.ts'
import { superuser } from '../test/support/postgres.ts'

/**
 * WAL into the repository and out of it, beside `cp` and pgBackRest (both its ways), in interleaved rounds on this machine:
 * `node bench/wal.ts [--segments 100] [--recovery 200] [--runs 3] [--json FILE]`. Pushed and fetched is as PostgreSQL does
 * it: one file after the other by the shell, with its marks in `archive_status`. Needs PostgreSQL 15 with pgbench.
 */
const file = fileURLToPath(import.meta.url)
const { values } = parseArgs({
  options: {
    segments: { type: 'string', default: '100' },
    recovery: { type: 'string', default: '200' },
    runs: { type: 'string', default: '3' },
    json: { type: 'string' },
    only: { type: 'string' },
  },
})
if (runsAsRoot()) {
  process.exitCode = await runUnprivileged({
    programRoot: dirname(dirname(file)),
    entry: file,
    arguments: process.argv.slice(2),
    environment: process.env,
  })
} else {
  // Whatever still runs is ended when this process is.
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(name, () => process.exit(130))
  await bench()
}

interface Way {
  readonly name: string
  readonly archiveCommand: string
  readonly restoreCommand: string
  /** Removes what earlier runs pushed. */
  readonly reset: () => Promise<void>
  /** Ends what still runs in the background; gives the CPU seconds that it has used, where it can be told. */
  readonly settle: () => Promise<number>
}

type Figure = 'push' | 'pushCpu' | 'fetch' | 'fetchCpu' | 'recovery'
type Samples = Record<string, Record<Figure, number[]>>

async function bench(): Promise<void> {
  const scratch = process.env['HOLDFAST_SCRATCH']
  if (scratch !== undefined) process.env['TMPDIR'] = scratch
  const [segments, recovery, runs] = [values.segments, values.recovery, values.runs].map(Number) as [
    number,
    number,
    number,
  ]
  await using scene = await openArchiveScene({
    major: 15,
    parameters: {
      archive_mode: 'on',
      archive_command: '/bin/false',
      max_wal_size: '6GB',
      shared_buffers: '256MB',
    },
  })
  const { server } = scene
  const ways = [await cpWay(scene), await holdfastWay(scene), ...(await pgBackRestWays(scene))]
  {
    await using archiver = startArchiver(scene, { flushMs: 5000 })
    pgbench(scene, '-i', '-q', '-s', '30')
    await backUp(scene)
    await writeWal(scene, Math.max(segments, recovery))
    await withSql(server.target, {}, (sql) => sql.query('SELECT pg_switch_wal()'))
    const [row] = await withSql(server.target, {}, (sql) =>
      sql.query<{ lsn: string }>("SELECT (pg_current_wal_flush_lsn() - '0/0')::text AS lsn"),
    )
    await archiver.until(({ durableLsn = 0n }) => durableLsn >= BigInt(row?.lsn ?? 0))
  }
  await server.stop()
  const samples: Samples = Object.fromEntries(
    [...ways.map(({ name }) => name), 'holdfast restore'].map((name) => [
      name,
      { push: [], pushCpu: [], fetch: [], fetchCpu: [], recovery: [] },
    ]),
  )
  const record = (name: string, what: Figure, value: number): void => {
    samples[name]?.[what].push(value)
    process.stderr.write(`${name}: ${what} ${value.toFixed(2)}\n`)
  }
  for (let run = 0; run < runs; run += 1) {
    for (const way of ways) {
      await way.reset()
      let before = await childCpuSeconds()
      record(way.name, 'push', segments / (await timed(() => pushAll(scene, way, segments))))
      record(way.name, 'pushCpu', ((await way.settle()) + (await childCpuSeconds()) - before) / segments)
      before = await childCpuSeconds()
      record(way.name, 'fetch', segments / (await timed(() => fetchAll(scene, way, segments))))
      record(way.name, 'fetchCpu', ((await way.settle()) + (await childCpuSeconds()) - before) / segments)
    }
    if (recovery === 0) continue
    for (const way of ways) {
      await way.reset()
      await pushAll(scene, way, Number.POSITIVE_INFINITY)
      await way.settle()
      record(way.name, 'recovery', await recoverWith(scene, way))
      await way.settle()
    }
    record('holdfast restore', 'recovery', await recoverOwn(scene))
  }
  report(samples)
  if (values.json !== undefined) await writeFile(values.json, JSON.stringify({ segments, recovery, samples }, null, 2))
}

/** Of this process's children that have ended, with theirs: `cutime` and `cstime` of proc(5). */
async function childCpuSeconds(): Promise<number> {
  return await cpuSeconds('self', 15)
}

/** Two fields of /proc/PID/stat, counted behind the name, in ticks of a hundredth of a second. */
async function cpuSeconds(pid: string, field: 13 | 15): Promise<number> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '')
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return (Number(fields[field - 2] ?? 0) + Number(fields[field - 1] ?? 0)) / 100
}

async function timed(work: () => Promise<void>): Promise<number> {
  const began = performance.now()
  await work()
  return (performance.now() - began) / 1000
}

function pgbench({ server }: ArchiveScene, ...args: readonly string[]): void {
  const target = ['-h', '127.0.0.1', '-p', String(server.port), '-U', server.target.user]
  const ran = spawnSync(join(server.installation.binDirectory, 'pgbench'), [...args, ...target, 'postgres'], {
    env: { PGPASSWORD: server.target.password.reveal() },
    encoding: 'utf8',
  })
  if (ran.status !== 0) throw new Error(ran.stderr)
}

async function ready({ server }: ArchiveScene): Promise<string[]> {
  const marks = await readdir(join(server.dataDirectory, 'pg_wal', 'archive_status'))
  return marks
    .filter((mark) => /^[0-9A-F]{24}\.(ready|done)$/.test(mark))
    .map((mark) => mark.slice(0, 24))
    .toSorted()
}

async function writeWal(scene: ArchiveScene, segments: number): Promise<void> {
  const before = (await ready(scene)).length
  while ((await ready(scene)).length - before < segments) pgbench(scene, '-c', '4', '-T', '5', '-N')
}

async function pushAll(scene: ArchiveScene, way: Way, count: number): Promise<void> {
  const { dataDirectory } = scene.server
  const status = join(dataDirectory, 'pg_wal', 'archive_status')
  const names = await ready(scene)
  for (const name of names)
    await rename(join(status, `${name}.done`), join(status, `${name}.ready`)).catch(() => undefined)
  for (const name of names.slice(0, count)) {
    await shell(way.archiveCommand, { f: name, p: `pg_wal/${name}` }, dataDirectory)
    await rename(join(status, `${name}.ready`), join(status, `${name}.done`))
  }
}

async function fetchAll(scene: ArchiveScene, way: Way, count: number): Promise<void> {
  const { dataDirectory } = scene.server
  for (const name of (await ready(scene)).slice(0, count)) {
    await shell(way.restoreCommand, { f: name, p: 'pg_wal/RECOVERYXLOG' }, dataDirectory)
    await rm(join(dataDirectory, 'pg_wal', 'RECOVERYXLOG'))
  }
}

function shell(command: string, names: Readonly<Record<string, string>>, cwd: string): Promise<void> {
  const line = command.replaceAll(/%([fp%])/g, (_, letter: string) => names[letter] ?? '%')
  return new Promise((resolve, reject) => {
    const child = spawn('/bin/sh', ['-c', line], { cwd, stdio: ['ignore', 'ignore', 'inherit'] })
    child.on('exit', (code) => (code === 0 ? resolve() : reject(new Error(`${line} gave ${code}`))))
  })
}

async function restored(scene: ArchiveScene): Promise<string> {
  const directory = join(scene.server.directory, 'restored')
  await rm(directory, { recursive: true, force: true })
  const planned = await plan(scene, { kind: 'latest' })
  await runRestore(scene.repository, planned, { targetDirectory: directory, workers: 2, clock })
  return directory
}

/** From the start of the server to the end of recovery, with the WAL of all segments. */
async function recoverWith(scene: ArchiveScene, way: Way): Promise<number> {
  const { server } = scene
  const directory = await restored(scene)
  await writeFile(join(directory, 'recovery.signal'), '')
  const socketDirectory = join(server.directory, 'restored-run')
  await mkdir(socketDirectory, { recursive: true })
  const logFile = join(server.directory, 'restored.log')
  await rm(logFile, { force: true })
  const seconds = await timed(async () => {
    await using running = await startServer(server.installation, directory, {
      logFile,
      parameters: {
        port: String(server.port),
        unix_socket_directories: socketDirectory,
        restore_command: way.restoreCommand,
        archive_mode: 'off',
        hot_standby: 'off',
        recovery_target_timeline: 'current',
      },
    })
    // It counts as started when replay has begun; as recovered, when it takes connections.
    const opened = async (): Promise<true | undefined> =>
      (await readPostmasterPid(running.dataDirectory))?.status === 'ready' ? true : undefined
    await waitUntil('the end of recovery', opened, { clock, timeoutMs: 600_000, everyMs: 10 })
  })
  await assertReplayed(scene, logFile)
  return seconds
}

/** Recovery takes the first segment that it does not get for the end: it would be fast for nothing. */
async function assertReplayed(scene: ArchiveScene, logFile: string): Promise<void> {
  const log = await readFile(logFile, 'utf8')
  const reached = parseLsn(/redo done at ([0-9A-F]+\/[0-9A-F]+)/.exec(log)?.[1] ?? '') ?? 0n
  const last = (await ready(scene)).at(-1) ?? ''
  if (reached >= segmentStart(last, 16 * 1024 * 1024)) return
  throw new Error(
    `recovery ended at ${formatLsn(reached as Lsn)}, before the last segment ${last}: ${log.slice(-2000)}`,
  )
}

async function recoverOwn(scene: ArchiveScene): Promise<number> {
  const directory = await restored(scene)
  const planned = await plan(scene, { kind: 'latest' })
  return await timed(async () => {
    await using _recovered = await recover(scene.repository, planned, {
      installation: scene.server.installation,
      dataDirectory: directory,
      action: 'promote',
      superuser,
      parameters: { shared_buffers: '256MB' },
      clock,
    })
  })
}

async function cpWay({ server }: ArchiveScene): Promise<Way> {
  const directory = join(server.directory, 'plain')
  const reset = async (): Promise<void> => {
    await rm(directory, { recursive: true, force: true })
    await mkdir(directory)
  }
  const [archiveCommand, restoreCommand] = [`cp %p ${directory}/%f`, `cp ${directory}/%f %p`]
  return { name: 'cp', archiveCommand, restoreCommand, reset, settle: async () => 0 }
}

async function holdfastWay({ server }: ArchiveScene): Promise<Way> {
  const program = compileProgram(server.directory)
  const state = join(server.directory, 'state')
  const repository = join(server.directory, 'pushed')
  await mkdir(state)
  const passphraseFile = join(server.directory, 'passphrase')
  await writeFile(passphraseFile, 'secret\n', { mode: 0o600 })
  const configFile = join(server.directory, 'holdfast.json.yaml')
  const secret = { passwordFile: passphraseFile }
  const node = { name: 'n1', address: '127.0.0.1', dataDirectory: server.dataDirectory, stateDirectory: state }
  const repositories = [{ name: 'local', type: 'filesystem', path: repository, passphraseFile }]
  const coordinator = { type: 'embedded', file: join(state, 'coordinator.db') }
  const postgres = { superuser: secret, replication: secret }
  await writeFile(configFile, JSON.stringify({ cluster: 'main', node, postgres, coordinator, repositories }))
  const ran = spawnSync(process.execPath, [program, 'wal', 'command', '--json', '--config', configFile], {
    encoding: 'utf8',
  })
  const printed = JSON.parse(ran.stdout) as { archive_command: string; restore_command: string }
  // Not by its pid file: one that has only just been started has none yet.
  const settle = async (): Promise<number> => {
    let used = 0
    for (let pids = await processesWith(configFile); pids.length > 0; pids = await processesWith(configFile)) {
      for (const pid of pids) {
        used = Math.max(used, await cpuSeconds(String(pid), 13))
        kill(pid)
      }
      await clock.sleep(20)
    }
    return used
  }
  const reset = async (): Promise<void> => {
    await rm(repository, { recursive: true, force: true })
    await mkdir(repository)
  }
  return {
    name: 'holdfast',
    archiveCommand: printed.archive_command,
    restoreCommand: printed.restore_command,
    reset,
    settle,
  }
}

/** The processes that name a file on their command line. */
async function processesWith(named: string): Promise<number[]> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name) && name !== String(process.pid))
  const lines = await Promise.all(pids.map((pid) => readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')))
  return pids.filter((_, index) => lines[index]?.includes(named)).map(Number)
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGTERM')
  } catch {
    // It has ended already.
  }
}

async function pgBackRestWays(scene: ArchiveScene): Promise<readonly Way[]> {
  if (spawnSync('pgbackrest', ['version']).status !== 0) return []
  const { server } = scene
  return await Promise.all(
    ['n', 'y'].map(async (asynchronous): Promise<Way> => {
      const name = asynchronous === 'y' ? 'pgBackRest asynchronous' : 'pgBackRest'
      const place = join(server.directory, `pgbackrest-${asynchronous}`)
      await mkdir(join(place, 'lock'), { recursive: true })
      const config = join(place, 'pgbackrest.conf')
      const settings = {
        'repo1-path': join(place, 'repository'),
        'repo1-cipher-type': 'aes-256-cbc',
        'repo1-cipher-pass': 'secret',
        'compress-type': 'zst',
        'compress-level': '3',
        'process-max': '2',
        'archive-async': asynchronous,
        'spool-path': join(place, 'spool'),
        'lock-path': join(place, 'lock'),
        'log-path': place,
        'log-level-console': 'error',
        'log-level-file': 'off',
      }
      const stanza = {
        'pg1-path': server.dataDirectory,
        'pg1-port': server.port,
        'pg1-user': server.target.user,
        'pg1-socket-path': server.socketDirectory,
      }
      const section = (of: object): string =>
        Object.entries(of)
          .map(([key, value]) => `${key}=${value}`)
          .join('\n')
      await writeFile(config, `[global]\n${section(settings)}\n[main]\n${section(stanza)}\n`)
      const command = `pgbackrest --config=${config} --stanza=main`
      const run = (what: string): void => {
        const environment = { ...process.env, PGPASSWORD: server.target.password.reveal() }
        const ran = spawnSync('/bin/sh', ['-c', `${command} ${what}`], { env: environment, encoding: 'utf8' })
        if (ran.status !== 0) throw new Error(`${what}: ${ran.stdout}${ran.stderr}`)
      }
      run('stanza-create')
      await cp(join(place, 'repository'), join(place, 'fresh'), { recursive: true })
      const reset = async (): Promise<void> => {
        await rm(join(place, 'repository'), { recursive: true, force: true })
        await rm(join(place, 'spool'), { recursive: true, force: true })
        await cp(join(place, 'fresh'), join(place, 'repository'), { recursive: true })
        await mkdir(join(place, 'spool'))
      }
      const settle = async (): Promise<number> => {
        while ((await readdir(join(place, 'lock'))).length > 0) await clock.sleep(50)
        // Its asynchronous processes are nobody's children.
        return asynchronous === 'y' ? Number.NaN : 0
      }
      return {
        name,
        archiveCommand: `${command} archive-push %p`,
        // It takes a relative path for one below pg1-path only, and the restored copy is elsewhere.
        restoreCommand: `${command} archive-get %f "$PWD/%p"`,
        reset,
        settle,
      }
    }),
  )
}

function report(samples: Samples): void {
  const middle = (numbers: readonly number[], digits: number): string => {
    const sorted = numbers.toSorted((left, right) => left - right)
    const value = sorted[Math.floor(sorted.length / 2)]
    return value === undefined || Number.isNaN(value) ? '' : value.toFixed(digits)
  }
  const row = (cells: readonly string[]): string =>
    cells.map((cell, index) => (index === 0 ? cell.padEnd(26) : cell.padStart(12))).join(' ')
  const rows = Object.entries(samples).map(([name, { push, pushCpu, fetch, fetchCpu, recovery }]) =>
    row([name, middle(push, 1), middle(pushCpu, 3), middle(fetch, 1), middle(fetchCpu, 3), middle(recovery, 1)]),
  )
  const header = row(['segments of 16 MiB', 'pushed/s', 'CPU s each', 'fetched/s', 'CPU s each', 'recovery s'])
  process.stdout.write(`${[header, ...rows].join('\n')}\n`)
}
