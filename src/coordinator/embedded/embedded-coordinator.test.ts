import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { copyFile, mkdtemp, rename, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'
import type { CoordinatorFixture } from '../../../test/contract/coordinator.ts'
import { coordinatorContract } from '../../../test/contract/coordinator.ts'
import type { Clock, MonotonicMs } from '../../std/clock.ts'
import { systemClock } from '../../std/clock.ts'
import { Fault, isFault } from '../../std/fault.ts'
import type { Coordinator } from '../coordinator.ts'
import { coordinatorFaults } from '../faults.ts'
import { openEmbeddedCoordinator } from './embedded-coordinator.ts'

async function openFixture(): Promise<CoordinatorFixture & { readonly file: string }> {
  const directory = await mkdtemp(join(tmpdir(), 'hf-coordinator-'))
  const file = join(directory, 'state', 'coordinator.db')
  const clients: Coordinator[] = []
  const keep = (client: Coordinator): Coordinator => {
    clients.push(client)
    return client
  }
  return {
    file,
    shortestTtlMs: 150,
    racerArguments: ['embedded', file],
    connect: async () => keep(await openEmbeddedCoordinator({ file, clock: systemClock })),
    connectFailing: async (n) => {
      let database: FailingDatabase | undefined
      const openDatabase = (path: string): DatabaseSync => (database = new FailingDatabase(path, { timeout: 4 }))
      const coordinator = keep(await openEmbeddedCoordinator({ file, clock: systemClock, openDatabase }))
      database?.failAt(n)
      return { coordinator, failed: () => database?.hasFailed() ?? false }
    },
    [Symbol.asyncDispose]: async () => {
      for (const client of clients) await client[Symbol.asyncDispose]()
      await rm(directory, { recursive: true, force: true })
    },
  }
}

/** A database whose n-th statement fails, before or after it had its effect, as an I/O error would. */
class FailingDatabase extends DatabaseSync {
  #left = Number.POSITIVE_INFINITY

  failAt(n: number): void {
    this.#left = n
  }

  hasFailed(): boolean {
    return this.#left <= 0
  }

  override exec(sql: string): void {
    this.#step(() => super.exec(sql))
  }

  override prepare(sql: string): ReturnType<DatabaseSync['prepare']> {
    const statement = super.prepare(sql)
    const step = <Result>(work: () => Result): Result => this.#step(work)
    return new Proxy(statement, {
      get: (target, name) => {
        const member: unknown = Reflect.get(target, name, target)
        if (typeof member !== 'function') return member
        return (...parameters: unknown[]): unknown => step(() => Reflect.apply(member, target, parameters))
      },
    })
  }

  #step<Result>(work: () => Result): Result {
    const failBefore = (this.#left -= 1) === 0
    if (failBefore) throw ioError()
    const result = work()
    const failAfter = (this.#left -= 1) === 0
    if (failAfter) throw ioError()
    return result
  }
}

function ioError(): Error {
  return Object.assign(new Error('disk I/O error'), { code: 'ERR_SQLITE_ERROR', errcode: 10 })
}

function clockAt(now: () => number): Clock {
  return { ...systemClock, monotonic: () => now() as MonotonicMs }
}

const isKind = (code: keyof typeof coordinatorFaults) => (error: unknown) => isFault(error, coordinatorFaults[code])

async function write(client: Coordinator, key: string, value: string): Promise<void> {
  await client.transact({ conditions: [], changes: [{ put: key, value }] })
}

coordinatorContract('embedded', openFixture)

describe('embedded coordinator', () => {
  it('creates its directory and file for its owner alone', async () => {
    await using fixture = await openFixture()
    await fixture.connect()
    assert.equal((await stat(fixture.file)).mode & 0o777, 0o600)
    assert.equal((await stat(`${fixture.file}-wal`)).mode & 0o777, 0o600)
    assert.equal((await stat(join(fixture.file, '..'))).mode & 0o777, 0o700)
  })

  it('keeps keys and revisions when the last client has closed', async () => {
    await using fixture = await openFixture()
    const first = await openEmbeddedCoordinator({ file: fixture.file, clock: systemClock })
    await write(first, '/state', 'kept')
    const before = await first.list('/')
    await first[Symbol.asyncDispose]()
    const second = await fixture.connect()
    assert.deepEqual(await second.list('/'), before)
  })

  it('judges expiry at the moment of reading, to the millisecond', async () => {
    await using fixture = await openFixture()
    let now = 1000
    const options = { file: fixture.file, clock: clockAt(() => now) }
    await using client = await openEmbeddedCoordinator(options)
    const lease = await client.grantLease(500)
    await client.transact({ conditions: [], changes: [{ put: '/leader', value: 'one', lease }] })
    now = 1499.999
    assert.equal((await client.list('/')).entries.length, 1)
    assert.equal(await client.keepAlive(lease), true)
    now = 1999.998
    assert.equal((await client.list('/')).entries.length, 1)
    now = 1999.999
    const { committed } = await client.transact({
      conditions: [{ key: '/leader', modRevision: 0 }],
      changes: [{ put: '/leader', value: 'two' }],
    })
    assert.equal(committed, true)
    assert.equal(await client.keepAlive(lease), false)
  })

  it('counts every lease as expired after a restart of the machine', async () => {
    await using fixture = await openFixture()
    const before = await openEmbeddedCoordinator({ file: fixture.file, clock: clockAt(() => 1e9), bootId: 'one' })
    const lease = await before.grantLease(60_000)
    await before.transact({
      conditions: [],
      changes: [
        { put: '/leader', value: 'one', lease },
        { put: '/state', value: 'kept' },
      ],
    })
    await before[Symbol.asyncDispose]()
    await using after = await openEmbeddedCoordinator({ file: fixture.file, clock: clockAt(() => 5), bootId: 'two' })
    assert.equal(await after.keepAlive(lease), false)
    assert.deepEqual(
      (await after.list('/')).entries.map((entry) => entry.key),
      ['/state'],
    )
  })

  it('refuses a file of another program, a damaged one and one it may not use', async () => {
    await using fixture = await openFixture()
    const directory = join(fixture.file, '..', '..')
    const open = (name: string) => openEmbeddedCoordinator({ file: join(directory, name), clock: systemClock })
    const foreign = new DatabaseSync(join(directory, 'foreign.db'))
    foreign.exec('CREATE TABLE theirs (id INTEGER)')
    foreign.close()
    await assert.rejects(open('foreign.db'), isKind('coordinator-file-foreign'))
    await writeFile(join(directory, 'text.db'), 'this is not a database, whatever its name says\n'.repeat(100))
    await assert.rejects(open('text.db'), isKind('coordinator-file-corrupt'))
    await writeFile(join(directory, 'blocked'), '')
    await assert.rejects(open('blocked/coordinator.db'), isKind('coordinator-file-unusable'))
  })

  it('notices that its file was replaced, instead of agreeing with nobody', async () => {
    await using fixture = await openFixture()
    const client = await fixture.connect()
    await write(client, '/state', 'old')
    await copyFile(fixture.file, `${fixture.file}.copy`)
    await rename(`${fixture.file}.copy`, fixture.file)
    await assert.rejects(write(client, '/state', 'new'), isKind('coordinator-file-replaced'))
    await assert.rejects(client.list('/'), isKind('coordinator-file-replaced'))
  })

  it('waits for a process in the way without blocking, then says that it is unreachable', async () => {
    await using fixture = await openFixture()
    await using client = await openEmbeddedCoordinator({ file: fixture.file, clock: systemClock, timeoutMs: 600 })
    const blocker = new DatabaseSync(fixture.file)
    blocker.exec('BEGIN IMMEDIATE')
    let turns = 0
    const ticker = setInterval(() => (turns += 1), 1)
    await assert.rejects(write(client, '/key', 'value'), isKind('coordinator-unreachable'))
    clearInterval(ticker)
    assert.ok(turns > 3)
    assert.equal((await client.list('/')).entries.length, 0)
    const waiting = write(client, '/key', 'value')
    blocker.exec('ROLLBACK')
    await waiting
    blocker.close()
  })

  it('stops waiting when the caller gives up', async () => {
    await using fixture = await openFixture()
    const client = await fixture.connect()
    const blocker = new DatabaseSync(fixture.file)
    blocker.exec('BEGIN IMMEDIATE')
    const reason = new Error('enough')
    const controller = new AbortController()
    const waiting = client.keepAlive(await Promise.resolve('x' as never), { signal: controller.signal })
    controller.abort(reason)
    await assert.rejects(waiting, reason)
    blocker.close()
  })

  it('refuses to be used after it was closed', async () => {
    await using fixture = await openFixture()
    const client = await fixture.connect()
    await client[Symbol.asyncDispose]()
    await client[Symbol.asyncDispose]()
    await assert.rejects(client.list('/'), (error) => error instanceof Fault && error.code === 'coordinator-closed')
  })

  it('is whole after kill -9 of a writer at any instant', async () => {
    await using fixture = await openFixture()
    const client = await fixture.connect()
    const program = fileURLToPath(new URL('coordinator-writer.fixture.ts', import.meta.url))
    for (let round = 0; round < 4; round += 1) {
      const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', program, fixture.file], {
        stdio: ['ignore', 'pipe', 'inherit'],
      })
      let acknowledged = 0
      let text = ''
      child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
        text += chunk
        acknowledged = Number(text.split('\n').at(-2) ?? 0)
        // A different instant each round, somewhere within the writer's work.
        if (acknowledged > 20 + round * 7) child.kill('SIGKILL')
      })
      await once(child, 'close')
      const { entries, revision } = await client.list('/')
      const [left, right] = [entries.find(({ key }) => key === '/left'), entries.find(({ key }) => key === '/right')]
      assert.equal(left?.value, right?.value)
      assert.ok(Number(left?.value) >= acknowledged)
      assert.ok(revision >= (left?.modRevision ?? Number.POSITIVE_INFINITY))
    }
  })
})
