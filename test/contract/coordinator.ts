import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { describe, it } from 'node:test'
import type { Coordinator, LeaseId } from '../../src/coordinator/coordinator.ts'
import { systemClock } from '../../src/std/clock.ts'

/** What an adapter gives to be tested: one empty coordinator and ways to reach it. */
export interface CoordinatorFixture extends AsyncDisposable {
  /** Another client of the same coordinator; the fixture closes it. */
  connect(): Promise<Coordinator>
  /** The shortest time to live that this coordinator honours. */
  readonly shortestTtlMs: number
  /** Arguments with which `coordinator-racer.ts` reaches the same coordinator from another process. */
  readonly racerArguments: readonly string[]
  /** A client whose `n`-th step inside fails, once; `failed` tells whether it came to that. For adapters that can. */
  connectFailing?(n: number): Promise<{ readonly coordinator: Coordinator; readonly failed: () => boolean }>
}

const absent = 0

/** Every adapter of the coordinator port passes this suite; see `src/coordinator/coordinator.ts` for what it promises. */
export function coordinatorContract(name: string, open: () => Promise<CoordinatorFixture>): void {
  describe(`coordinator contract: ${name}`, () => {
    describe('keys', () => keyContract(open))
    describe('transactions', () => transactionContract(open))
    describe('leases', () => leaseContract(open))
    describe('watch', () => watchContract(open))
    describe('races', () => raceContract(open))
    describe('failures', () => failureContract(open))
  })
}

function keyContract(open: () => Promise<CoordinatorFixture>): void {
  it('lists what is below a prefix in order of the keys, and nothing else', async () => {
    await using fixture = await open()
    const client = await fixture.connect()
    for (const key of ['/a/2', '/a/10', '/a', '/b/1', '/a/1', '/a0', '/a/ü', '/a/%_']) await put(client, key, `v${key}`)
    const { entries } = await client.list('/a/')
    assert.deepEqual(
      entries.map((entry) => entry.key),
      ['/a/%_', '/a/1', '/a/10', '/a/2', '/a/ü'],
    )
    assert.equal(entries[1]?.value, 'v/a/1')
    assert.equal((await client.list('')).entries.length, 8)
  })

  it('reads what another client has just written', async () => {
    await using fixture = await open()
    const [one, two] = [await fixture.connect(), await fixture.connect()]
    for (let round = 0; round < 30; round += 1) {
      const written = await put(one, '/key', String(round))
      const { entries, revision } = await two.list('/key')
      assert.equal(entries[0]?.value, String(round))
      assert.ok(revision >= written)
    }
  })

  it('counts revisions up with every change, and tells creation from change', async () => {
    await using fixture = await open()
    const client = await fixture.connect()
    const first = await put(client, '/key', 'a')
    const second = await put(client, '/key', 'b')
    assert.ok(second > first)
    assert.deepEqual(await only(client, '/key'), {
      key: '/key',
      value: 'b',
      createRevision: first,
      modRevision: second,
      lease: undefined,
    })
    await client.transact({ conditions: [], changes: [{ delete: '/key' }] })
    const third = await put(client, '/key', 'c')
    const again = await only(client, '/key')
    assert.equal(again?.createRevision, third)
    assert.ok(third > second + 1)
  })

  it('does not count a transaction that changes nothing', async () => {
    await using fixture = await open()
    const client = await fixture.connect()
    const before = (await client.list('/')).revision
    assert.equal((await client.transact({ conditions: [], changes: [] })).committed, true)
    assert.equal((await client.transact({ conditions: [], changes: [{ delete: '/nothing' }] })).committed, true)
    assert.equal((await client.list('/')).revision, before)
  })
}

function transactionContract(open: () => Promise<CoordinatorFixture>): void {
  it('changes everything or nothing', async () => {
    await using fixture = await open()
    const client = await fixture.connect()
    const revision = await put(client, '/a', '1')
    const changes = [{ put: '/a', value: '2' }, { put: '/b', value: '2' }, { delete: '/c' }] as const
    const wrong = { key: '/c', modRevision: revision }
    const refused = await client.transact({ conditions: [{ key: '/a', modRevision: revision }, wrong], changes })
    assert.equal(refused.committed, false)
    assert.deepEqual(await values(client), { '/a': '1' })
    const right = { key: '/c', modRevision: absent }
    const done = await client.transact({ conditions: [{ key: '/a', modRevision: revision }, right], changes })
    assert.equal(done.committed, true)
    assert.deepEqual(await values(client), { '/a': '2', '/b': '2' })
    const { entries } = await client.list('/')
    assert.deepEqual(new Set(entries.map((entry) => entry.modRevision)), new Set([done.revision]))
  })

  it('refuses a condition on a revision that has passed', async () => {
    await using fixture = await open()
    const client = await fixture.connect()
    const old = await put(client, '/a', '1')
    await put(client, '/a', '2')
    const changes = [{ put: '/a', value: '3' }]
    assert.equal((await client.transact({ conditions: [{ key: '/a', modRevision: old }], changes })).committed, false)
    assert.equal(
      (await client.transact({ conditions: [{ key: '/a', modRevision: absent }], changes })).committed,
      false,
    )
    assert.deepEqual(await values(client), { '/a': '2' })
  })

  it('refuses to change a key twice', async () => {
    await using fixture = await open()
    const client = await fixture.connect()
    await assert.rejects(async () => {
      await client.transact({ conditions: [], changes: [{ put: '/a', value: '1' }, { delete: '/a' }] })
    })
    assert.deepEqual(await values(client), {})
  })
}

function leaseContract(open: () => Promise<CoordinatorFixture>): void {
  it('removes the keys of a lease that expired, not before its time', async () => {
    await using fixture = await open()
    const [one, two] = [await fixture.connect(), await fixture.connect()]
    const sentAt = systemClock.monotonic()
    const lease = await one.grantLease(fixture.shortestTtlMs)
    await put(one, '/leader', 'one', lease)
    await put(one, '/state', 'stays')
    assert.equal((await only(two, '/leader'))?.lease, lease)
    for (let present = true; present;) {
      present = (await only(two, '/leader')) !== undefined
      if (!present) assert.ok(systemClock.monotonic() - sentAt >= fixture.shortestTtlMs)
    }
    assert.deepEqual(await values(one), { '/state': 'stays' })
  })

  it('keeps a lease that is renewed, and its keys', async () => {
    await using fixture = await open()
    const client = await fixture.connect()
    const lease = await client.grantLease(fixture.shortestTtlMs)
    await put(client, '/leader', 'one', lease)
    const start = systemClock.monotonic()
    let sentAt = start
    // A machine so busy that a renewal comes too late proves nothing about the coordinator.
    const tooLate = (): boolean => systemClock.monotonic() - sentAt >= fixture.shortestTtlMs
    while (systemClock.monotonic() - start < fixture.shortestTtlMs * 2.5) {
      const renewedAt = systemClock.monotonic()
      const alive = await client.keepAlive(lease)
      if (!alive && tooLate()) return
      assert.equal(alive, true)
      sentAt = renewedAt
      await systemClock.sleep(fixture.shortestTtlMs / 5)
    }
    const [leader] = (await client.list('/leader')).entries
    if (leader === undefined && tooLate()) return
    assert.equal(leader?.value, 'one')
  })

  it('never revives an expired lease', async () => {
    await using fixture = await open()
    const client = await fixture.connect()
    const lease = await client.grantLease(fixture.shortestTtlMs)
    await put(client, '/leader', 'one', lease)
    await goneBelow(client, '/leader')
    assert.equal(await client.keepAlive(lease), false)
    assert.equal(await client.keepAlive(lease), false)
    const refused = await client.transact({ conditions: [], changes: [{ put: '/leader', value: 'two', lease }] })
    assert.equal(refused.committed, false)
    assert.deepEqual(await values(client), {})
  })

  it('removes the keys of a revoked lease at once, and takes a second revocation', async () => {
    await using fixture = await open()
    const [one, two] = [await fixture.connect(), await fixture.connect()]
    const lease = await one.grantLease(60_000)
    await put(one, '/leader', 'one', lease)
    await one.revokeLease(lease)
    assert.deepEqual(await values(two), {})
    assert.equal(await two.keepAlive(lease), false)
    await two.revokeLease(lease)
  })

  it('lets go of a key that is written again without the lease', async () => {
    await using fixture = await open()
    const client = await fixture.connect()
    const lease = await client.grantLease(60_000)
    await put(client, '/claim', 'mine', lease)
    await put(client, '/claim', 'for good')
    await client.revokeLease(lease)
    assert.deepEqual(await values(client), { '/claim': 'for good' })
  })

  it('gives no two leases the same name', async () => {
    await using fixture = await open()
    const [one, two] = [await fixture.connect(), await fixture.connect()]
    const leases = await Promise.all([one, two, one, two].map((client) => client.grantLease(60_000)))
    assert.equal(new Set(leases).size, 4)
  })
}

function watchContract(open: () => Promise<CoordinatorFixture>): void {
  it('sees a change made right after the call, before anyone waits for it', async () => {
    await using fixture = await open()
    const [one, two] = [await fixture.connect(), await fixture.connect()]
    const controller = new AbortController()
    for (const writer of [one, two]) {
      const changes = one.watch('/', { signal: controller.signal })[Symbol.asyncIterator]()
      await put(writer, '/key', 'value')
      assert.equal((await changes.next()).done, false)
    }
    controller.abort()
  })

  it('sees every state that stays: the last of many changes is never missed', async () => {
    await using fixture = await open()
    const [one, two] = [await fixture.connect(), await fixture.connect()]
    const controller = new AbortController()
    const seen = (async () => {
      for await (const _ of one.watch('/', { signal: controller.signal })) {
        if ((await only(one, '/counter'))?.value === '40') return true
      }
      return false
    })()
    for (let count = 1; count <= 40; count += 1) await put(two, '/counter', String(count))
    assert.equal(await seen, true)
    controller.abort()
  })

  it('wakes when a lease expires that nobody reads', async () => {
    await using fixture = await open()
    const [one, two] = [await fixture.connect(), await fixture.connect()]
    const lease = await one.grantLease(fixture.shortestTtlMs)
    await put(one, '/leader', 'one', lease)
    await goneBelow(two, '/leader')
  })

  it('ends when its signal aborts', async () => {
    await using fixture = await open()
    const client = await fixture.connect()
    const controller = new AbortController()
    const changes = client.watch('/', { signal: controller.signal })[Symbol.asyncIterator]()
    const next = changes.next()
    controller.abort()
    assert.equal((await next).done, true)
  })
}

function raceContract(open: () => Promise<CoordinatorFixture>): void {
  it('has one winner among clients that create the same key', async () => {
    await using fixture = await open()
    const clients = await Promise.all(Array.from({ length: 6 }, () => fixture.connect()))
    for (let round = 0; round < 10; round += 1) {
      const key = `/round/${round}`
      const results = await Promise.all(
        clients.map((client, index) =>
          client.transact({
            conditions: [{ key, modRevision: absent }],
            changes: [{ put: key, value: String(index) }],
          }),
        ),
      )
      assert.equal(results.filter((result) => result.committed).length, 1)
      const winner = results.findIndex((result) => result.committed)
      assert.equal((await only(clients[0] as Coordinator, key))?.value, String(winner))
    }
  })

  it('has one winner a round among processes, and loses none of their increments', async () => {
    await using fixture = await open()
    const rounds = 40
    const outputs = await Promise.all(
      ['a', 'b', 'c', 'd'].map((racer) => runRacer([...fixture.racerArguments, racer, String(rounds)])),
    )
    const won = outputs.flatMap((output) => output.won)
    assert.equal(won.length, rounds)
    assert.equal(new Set(won).size, rounds)
    const client = await fixture.connect()
    assert.equal((await only(client, '/counter'))?.value, String(4 * rounds))
  })
}

function failureContract(open: () => Promise<CoordinatorFixture>): void {
  it('is whole after the n-th step of a transaction failed, for every n', async (context) => {
    const probe = await open()
    const canFail = probe.connectFailing !== undefined
    await probe[Symbol.asyncDispose]()
    if (!canFail) return context.skip('this adapter cannot inject failures')
    let failures = 0
    for (let n = 1; ; n += 1) {
      await using fixture = await open()
      const witness = await fixture.connect()
      await put(witness, '/a', 'before')
      const { coordinator, failed } = (await fixture.connectFailing?.(n)) ?? assert.fail()
      const changes = [
        { put: '/a', value: 'after' },
        { put: '/b', value: 'after' },
      ]
      const outcome = await coordinator.transact({ conditions: [{ key: '/b', modRevision: absent }], changes }).then(
        (result) => (result.committed ? 'after' : 'before'),
        () => 'unknown',
      )
      const found = await values(witness)
      const before = { '/a': 'before' }
      const after = { '/a': 'after', '/b': 'after' }
      if (outcome === 'after') assert.deepEqual(found, after)
      else if (outcome === 'before') assert.deepEqual(found, before)
      else assert.deepEqual(found, '/b' in found ? after : before)
      if (!failed()) break
      failures += 1
      // The client that failed goes on working, and nobody else is held up by it.
      await put(witness, '/c', 'witness')
      await put(coordinator, '/d', 'again')
      assert.equal((await values(witness))['/d'], 'again')
    }
    assert.ok(failures > 0)
  })
}

async function put(client: Coordinator, key: string, value: string, lease?: LeaseId): Promise<number> {
  const { committed, revision } = await client.transact({ conditions: [], changes: [{ put: key, value, lease }] })
  assert.equal(committed, true)
  return revision
}

async function only(client: Coordinator, key: string) {
  return (await client.list(key)).entries.find((entry) => entry.key === key)
}

async function values(client: Coordinator): Promise<Record<string, string>> {
  return Object.fromEntries((await client.list('')).entries.map((entry) => [entry.key, entry.value]))
}

/** Resolves when nothing is below the prefix any more, told by a watch alone. */
async function goneBelow(client: Coordinator, prefix: string): Promise<void> {
  const controller = new AbortController()
  const changes = client.watch(prefix, { signal: controller.signal })
  if ((await client.list(prefix)).entries.length > 0) {
    for await (const _ of changes) {
      if ((await client.list(prefix)).entries.length === 0) break
    }
  }
  controller.abort()
}

async function runRacer(racerArguments: readonly string[]): Promise<{ won: number[] }> {
  const program = fileURLToPath(new URL('coordinator-racer.ts', import.meta.url))
  const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', program, ...racerArguments], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let output = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => (output += text))
  const [code] = (await once(child, 'close')) as [number | null]
  assert.equal(code, 0)
  return JSON.parse(output) as { won: number[] }
}
