import assert from 'node:assert/strict'
import { cp, mkdir, readFile, readdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { root } from '../../../scripts/suite.ts'
import { restoreCommand } from '../../../src/archive/command/wal-script.ts'
import { freePort } from '../../../src/postgres/port.ts'
import { startServer } from '../../../src/postgres/server.ts'
import { withSql } from '../../../src/postgres/sql.ts'
import { readWalSegment, walInventory } from '../../../src/repository/wal-objects.ts'
import { systemClock } from '../../../src/std/clock.ts'
import { waitUntil } from '../../../src/std/wait-until.ts'
import { cluster, finishSegment, openCommandScene, runAsPostgres } from './command-scene.ts'
import type { CommandScene } from './command-scene.ts'

async function servicePid({ walDirectory }: CommandScene): Promise<number | undefined> {
  const text = await readFile(join(walDirectory, 'pid'), 'utf8').catch(() => '')
  return text === '' ? undefined : Number(text)
}

async function endService(scene: CommandScene): Promise<void> {
  const pid = await servicePid(scene)
  if (pid === undefined) return
  try {
    process.kill(pid, 'SIGTERM')
  } catch {
    return
  }
  const ended = async (): Promise<true | undefined> => {
    try {
      process.kill(pid, 0)
      return undefined
    } catch {
      return true
    }
  }
  await waitUntil('the service end', ended, { clock: systemClock, timeoutMs: 20_000 })
}

/** The commands of `docs/guide/archive-command.md`. */
async function followGuide({ server, configFile }: CommandScene): Promise<void> {
  const guide = await readFile(join(root, 'docs/guide/archive-command.md'), 'utf8')
  const blocks = [...guide.matchAll(/^```sh\n(.*?)^```$/gms)].map((match) => match[1] ?? '')
  assert.equal(blocks.length, 1)
  const program = join(root, 'src', 'main.ts')
  const holdfast = `holdfast() { '${process.execPath}' '${program}' "$@"; }`
  const environment = `export PGDATA='${server.dataDirectory}' HOLDFAST_CONFIG='${configFile}'`
  const { code, stderr } = await runAsPostgres(
    ['set -e', environment, holdfast, ...blocks].join('\n'),
    server.dataDirectory,
  )
  assert.equal(code, 0, stderr)
}

const fill = (argument: string, values: Readonly<Record<string, string>>): string =>
  argument.replaceAll(/%([fp%])/g, (_, letter: string) => values[letter] ?? '%')

test(
  'a server archives with the printed command and another is restored with it; the service may die at any moment',
  { timeout: 120_000 },
  async () => {
    await using scene = await openCommandScene({ parameters: { archive_timeout: 0 } })
    const { server } = scene
    await using sql = await server.sql()
    const base = join(server.directory, 'copy')
    await sql.query('CREATE TABLE t (x int)')
    await server.stop()
    await cp(server.dataDirectory, base, { recursive: true })
    await followGuide(scene)
    await server.start()
    const printed = await scene.walCommand()
    await using again = await server.sql()
    let name = ''
    for (let x = 1; x <= 8; x += 1) {
      await again.query('INSERT INTO t VALUES ($1)', [x])
      name = await finishSegment(again)
      // The file that waits for its answer then is done without the service, which is started anew.
      const pid = x % 4 === 0 ? await servicePid(scene) : undefined
      if (pid !== undefined) process.kill(pid, 'SIGKILL')
    }
    const archived = async (): Promise<true | undefined> => {
      const [row] = await again.query<{ last: string | null }>('SELECT last_archived_wal AS last FROM pg_stat_archiver')
      return row?.last === name ? true : undefined
    }
    await waitUntil('the last segment be archived', archived, { clock: systemClock, timeoutMs: 60_000 })
    const repository = await scene.repository()
    const { segments } = await walInventory(repository, cluster)
    assert.ok(segments.length >= 8)
    for (const segment of segments) {
      const file = await readFile(join(server.dataDirectory, 'pg_wal', segment.name)).catch(() => undefined)
      if (file === undefined) continue
      const stored = await readWalSegment(repository, { cluster, name: segment.name })
      assert.equal(Buffer.compare(stored, file), 0, segment.name)
    }
    await server.stop()
    await restoreWith(scene, base, printed.restore_command)
    await endService(scene)
  },
)

async function restoreWith(scene: CommandScene, base: string, command: string): Promise<void> {
  const { server } = scene
  await rm(join(base, 'postgresql.auto.conf'), { force: true })
  await writeFile(join(base, 'recovery.signal'), '')
  const port = await freePort()
  const socketDirectory = join(server.directory, 'copy-run')
  await mkdir(socketDirectory)
  await using _server = await startServer(server.installation, base, {
    logFile: join(server.directory, 'copy.log'),
    parameters: {
      port: String(port),
      unix_socket_directories: socketDirectory,
      restore_command: command,
      archive_mode: 'off',
      fsync: 'off',
    },
  })
  const opened = async (): Promise<true | undefined> => {
    const [row] = await withSql({ ...server.target, port }, {}, (sql) =>
      sql.query<{ recovering: boolean }>('SELECT pg_is_in_recovery() AS recovering'),
    )
    return row?.recovering === false ? true : undefined
  }
  await waitUntil('recovery end', opened, { clock: systemClock, timeoutMs: 60_000 })
  const rows = await withSql({ ...server.target, port }, {}, (sql) =>
    sql.query<{ x: number }>('SELECT x FROM t ORDER BY x'),
  )
  assert.deepEqual(
    rows.map(({ x }) => x),
    Array.from({ length: 8 }, (_, index) => index + 1),
  )
}

test('the exit codes are those of PostgreSQL, with the service and without', { timeout: 120_000 }, async () => {
  await using scene = await openCommandScene()
  const { server } = scene
  const data = server.dataDirectory
  const { archive_command, restore_command } = await scene.walCommand()
  const push = (file: string) => runAsPostgres(fill(archive_command, { p: file }), data)
  const fetch = (name: string) => runAsPostgres(fill(restore_command, { f: name, p: 'pg_wal/RECOVERYXLOG' }), data)
  const placed = join(data, 'pg_wal', 'RECOVERYXLOG')
  await using sql = await server.sql()
  await sql.query('CREATE TABLE t (x int)')
  const name = await finishSegment(sql)
  const file = `pg_wal/${name}`

  assert.equal((await fetch(name)).code, 200, 'a repository that is not there proves nothing')
  assert.equal((await push(file)).code, 0)
  assert.equal((await push(file)).code, 0, 'the same again')
  await waitUntil('the service serve', () => servicePid(scene), { clock: systemClock, timeoutMs: 20_000 })
  assert.equal((await push(file)).code, 0, 'the same by the service')
  const absent = `${name.slice(0, 23)}F`
  const object = join(scene.repositoryPath, 'main', 'wal', '00000001', name)
  const stored = await readFile(object)
  const checkFetch = async (how: string): Promise<void> => {
    assert.equal((await fetch(name)).code, 0, how)
    assert.deepEqual(await readFile(placed), await readFile(join(data, file)), how)
    await rm(placed)
    assert.deepEqual(await fetch(absent), { code: 1, stderr: '' }, how)
    const inWal = await readdir(join(data, 'pg_wal'))
    assert.deepEqual(
      inWal.filter((entry) => /RECOVERY|holdfast/.test(entry)),
      [],
      how,
    )
    await writeFile(object, stored.subarray(0, 1000))
    const damaged = await fetch(name)
    assert.equal(damaged.code, 200, how)
    assert.match(damaged.stderr, /Cannot use object main\/wal\/00000001/)
    await writeFile(join(data, 'standby.signal'), '')
    assert.equal((await fetch(name)).code, 1, 'a standby asks again')
    await rm(join(data, 'standby.signal'))
    await writeFile(object, stored)
  }
  await checkFetch('with the service')
  assert.deepEqual(await fetch('00000002.history'), { code: 1, stderr: '' })
  const other = join(server.directory, 'other')
  await mkdir(other)
  const bytes = await readFile(join(data, file))
  bytes[8292] = (bytes[8292] ?? 0) ^ 1
  await writeFile(join(other, name), bytes)
  const conflict = await push(join(other, name))
  assert.equal(conflict.code, 1)
  for (const named of [join(other, name), data, `main/wal/00000001/${name}`, scene.repositoryPath]) {
    assert.ok(conflict.stderr.includes(named), conflict.stderr)
  }
  assert.match((await push('pg_wal/nonsense')).stderr, /archive-file-unknown/)
  await endService(scene)
  // So that no new service takes over.
  await rm(join(scene.walDirectory, 'requests'), { recursive: true, force: true })
  await writeFile(join(scene.walDirectory, 'requests'), '')
  await checkFetch('without')
  assert.equal((await push(join(other, name))).code, 5)
  await server.stop()
  const broken = fill(restoreCommand('/nowhere/holdfast-wal.sh'), { f: name, p: 'x' })
  assert.ok(((await runAsPostgres(broken, data)).code ?? 0) > 125)
  const direct = await scene.holdfast(data, 'wal', 'fetch', name)
  assert.equal(direct.code, 2)
})
