import assert from 'node:assert/strict'
import { access, mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { isUnfinishedClone } from '../../../src/postgres/clone/unfinished-clone.ts'
import { runProgramToEnd } from '../../../src/std/run-program.ts'
import { createTestServer, type TestServer } from '../../support/postgres.ts'
import type { CloneOrder, CloneOutcome } from './clone-program.ts'
import { startStandby } from './standby.ts'

const program = join(import.meta.dirname, 'clone-program.ts')

function runClone(
  server: TestServer,
  order: Pick<CloneOrder, 'dataDirectory' | 'slot' | 'killAtBytes'>,
  wrapper: string[] = [],
) {
  const { host, port, user, password } = server.replicationTarget
  const whole: CloneOrder = { host, port, user, password: password.reveal(), ...order }
  const [command, ...rest] = [...wrapper, process.execPath, program]
  return runProgramToEnd(command ?? '', rest, {
    environment: { PATH: process.env['PATH'] ?? '', CLONE_ORDER: JSON.stringify(whole) },
    deadlineMs: 60_000,
  })
}

async function slots(server: TestServer): Promise<unknown[]> {
  await using sql = await server.sql()
  return (await sql.query('select slot_name from pg_replication_slots')).map((row) => row['slot_name'])
}

describe('a clone that ends half-way', () => {
  test('by kill -9: its directory is known as unfinished, cannot start, and is cloned again', async () => {
    await using server = await createTestServer()
    const dataDirectory = join(server.directory, 'killed')
    const { killedBy } = await runClone(server, { dataDirectory, slot: 'killed', killAtBytes: 10_000_000 })
    assert.equal(killedBy, 'SIGKILL')
    assert.equal(await isUnfinishedClone(dataDirectory), true)
    await assert.rejects(access(join(dataDirectory, 'global', 'pg_control')), { code: 'ENOENT' })
    assert.deepEqual(await slots(server), ['killed'])
    await using standby = await startStandby(server, 'killed')
    assert.ok(standby.clone.fileCount > 900)
    assert.deepEqual(await slots(server), ['killed'])
  })

  test('by a full disk: says so, and leaves an empty directory and no slot', async (context) => {
    const unshare = ['unshare', '--user', '--map-root-user', '--mount']
    const possible = await runProgramToEnd('/bin/sh', ['-c', `${unshare.join(' ')} mount -t tmpfs none /tmp`], {
      environment: { PATH: process.env['PATH'] ?? '' },
      deadlineMs: 5000,
    })
    if (possible.exitCode !== 0)
      return context.skip('a small disk needs user namespaces, which this system does not allow')
    await using server = await createTestServer()
    const disk = join(server.directory, 'disk')
    await mkdir(disk)
    const mounted = `mount -t tmpfs -o size=12m none '${disk}' && exec "$@"`
    const { stdout, stderr } = await runClone(server, { dataDirectory: join(disk, 'data'), slot: 'full' }, [
      ...unshare,
      '/bin/sh',
      '-c',
      mounted,
      'sh',
    ])
    const outcome = JSON.parse(stdout || stderr) as CloneOutcome
    assert.deepEqual(outcome, { code: 'disk-full', entries: [] })
    assert.deepEqual(await slots(server), [])
  })
})
