import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, mkdtemp, readFile, readdir, rename, utimes } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { createInterface } from 'node:readline'
import { after, before, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { runningPostmaster } from '../../../src/postgres/postmaster.ts'
import { withSql } from '../../../src/postgres/sql.ts'
import { repositoryFaults } from '../../../src/repository/faults.ts'
import { openSandbox } from '../../../src/restore/sandbox.ts'
import type { Sandbox, SandboxOptions } from '../../../src/restore/sandbox.ts'
import { systemClock } from '../../../src/std/clock.ts'
import { isFault } from '../../../src/std/fault.ts'
import { superuser } from '../../support/postgres.ts'
import { currentLsn, openArchiveScene, startArchiver } from '../archive/archive-scene.ts'
import type { ArchiveScene } from '../archive/archive-scene.ts'
import { backUp, plan } from './restore-scene.ts'

// One server with a tablespace and a library to preload serves all tests.
let scene: ArchiveScene
let parentDirectory: string

before(async () => {
  scene = await openArchiveScene()
  await using sql = await scene.server.sql()
  await using archiver = startArchiver(scene)
  const fast = join(scene.server.directory, 'fast')
  await mkdir(fast)
  await sql.query(`CREATE TABLESPACE fast LOCATION '${fast}'`)
  await sql.query('CREATE TABLE t (x int) TABLESPACE fast')
  await sql.query("ALTER SYSTEM SET shared_preload_libraries = 'is not on this machine'")
  await backUp(scene)
  await sql.query('INSERT INTO t VALUES (1), (2)')
  const lsn = await currentLsn(sql)
  await archiver.until(({ durableLsn = 0n }) => durableLsn >= lsn)
})

after(() => scene[Symbol.asyncDispose]())

async function open(options: Partial<SandboxOptions> = {}): Promise<Sandbox> {
  const { installation } = scene.server
  parentDirectory = await mkdtemp(join(scene.server.directory, 'boxes-'))
  const planned = await plan(scene, { kind: 'latest' })
  const usual = { installation, parentDirectory, superuser, clock: systemClock } as const
  return await openSandbox(scene.repository, planned, { ...usual, ...options })
}

test('a sandbox runs at the target without libraries or its old tablespaces, and leaves nothing', async () => {
  {
    await using sandbox = await open()
    await withSql(sandbox.connection, {}, async (sql) => {
      const [row] = await sql.query(
        `SELECT (SELECT sum(x)::int FROM t) AS sum, current_setting('shared_preload_libraries') AS libraries,
         (SELECT pg_tablespace_location(oid) FROM pg_tablespace WHERE spcname = 'fast') AS place`,
      )
      assert.deepEqual([row?.['sum'], row?.['libraries']], [3, ''])
      assert.ok(String(row?.['place']).startsWith(dirname(sandbox.dataDirectory)), String(row?.['place']))
    })
    await sandbox.stop()
    assert.ok((await readdir(sandbox.dataDirectory)).includes('PG_VERSION'))
  }
  assert.deepEqual(await readdir(parentDirectory), [])
})

test('a sandbox that cannot be opened leaves nothing either', async () => {
  const wal = join(scene.repositoryRoot, 'main', 'wal')
  await assert.rejects(
    open({
      onProgress: ({ step, progress }) => step === 'files' && progress.stage === 'done' && void rename(wal, `${wal}-`),
    }),
    (error) => isFault(error, repositoryFaults['repository-object-missing']),
  )
  await rename(`${wal}-`, wal)
  assert.deepEqual(await readdir(parentDirectory), [])
})

test('what a killed process left is stopped and removed by the next sandbox; one in use is not', async () => {
  await using first = await open()
  const [used = ''] = await readdir(parentDirectory)
  const program = fileURLToPath(new URL('sandbox-program.ts', import.meta.url))
  const settings = [scene.repositoryRoot, parentDirectory, String(scene.server.installation.major)]
  const child = spawn(process.execPath, [program, ...settings], { stdio: ['ignore', 'pipe', 'inherit'] })
  const [left] = (await once(createInterface(child.stdout), 'line')) as [string]
  child.kill('SIGKILL')
  await once(child, 'exit')
  const server = await runningPostmaster(left)
  assert.ok(server !== undefined)
  const long = new Date(systemClock.wall() - 3_600_000)
  for (const name of await readdir(parentDirectory)) await utimes(join(parentDirectory, name), long, long)
  const options = { installation: scene.server.installation, parentDirectory, superuser, clock: systemClock } as const
  await using second = await openSandbox(scene.repository, await plan(scene, { kind: 'latest' }), options)
  // A process that has ended may still be waiting for init to take notice.
  assert.equal(await readFile(`/proc/${server.pid}/cmdline`, 'utf8').catch(() => ''), '')
  const present = [used, second.dataDirectory.split('/').at(-2) ?? '']
  assert.deepEqual((await readdir(parentDirectory)).toSorted(), present.toSorted())
  assert.ok((await runningPostmaster(first.dataDirectory)) !== undefined)
})
