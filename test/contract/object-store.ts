import assert from 'node:assert/strict'
import { fork, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { isFault } from '../../src/std/fault.ts'
import { storeFaults } from '../../src/store/faults.ts'
import type { ObjectStore } from '../../src/store/object-store.ts'

/** An empty store of the adapter under test, which other processes can open as well. */
export interface StoreUnderTest extends AsyncDisposable {
  readonly store: ObjectStore
  /** How a child process opens the same store: an exported function of a module, and what to call it with. */
  readonly opener: StoreOpener
}

export interface StoreOpener {
  readonly moduleUrl: string
  readonly exportName: string
  /** Plain data. */
  readonly options: Readonly<Record<string, unknown>>
}

/** What a child process reports: see object-store-child.ts. */
export interface ChildReport {
  readonly event: 'ready' | 'writing' | 'done'
  readonly outcome?: 'created' | 'exists'
}

export interface ContractOptions {
  /** False on servers that decide nothing: of creators in several processes more than one may believe to have won. */
  readonly decides?: boolean
  /** How often processes race, and are killed; fewer on servers that take their time. */
  readonly rounds?: number
}

/** The contract of the `ObjectStore` port. Every adapter's tests call it. */
export function objectStoreContract(
  adapter: string,
  make: () => Promise<StoreUnderTest>,
  { decides = true, rounds = 10 }: ContractOptions = {},
): void {
  const withStore = async (use: (under: StoreUnderTest) => Promise<void>): Promise<void> => {
    await using under = await make()
    await use(under)
  }
  describe(`object store contract: ${adapter}`, () => {
    test('an object reads back as it was created, empty and large ones too', () =>
      withStore(async ({ store }) => {
        for (const length of [0, 1, 9_000_001]) {
          assert.equal(await store.create(`some/object-${length}`, pattern(length, 7)), 'created')
          assertSameBytes(await store.read(`some/object-${length}`), pattern(length, 7))
          assert.equal(await store.size(`some/object-${length}`), length)
        }
      }))
    test('an object is written once: a second create changes nothing, whatever its content', () =>
      withStore(async ({ store }) => {
        await store.create('once', pattern(1000, 1))
        for (const body of [pattern(1000, 1), pattern(1000, 2), pattern(5, 3), pattern(0, 0)]) {
          assert.equal(await store.create('once', body), 'exists')
        }
        assertSameBytes(await store.read('once'), pattern(1000, 1))
      }))
    test('ranges are exact, and shorter only where the object ends', () => withStore(({ store }) => checkRanges(store)))
    test('a missing object is named, by read and readRange, and has no size', () =>
      withStore(({ store }) => checkMissing(store)))
    test('a directory of objects is no object', () =>
      withStore(async ({ store }) => {
        await store.create('a/b/c', pattern(3, 1))
        assert.equal(await store.size('a/b'), undefined)
        await assert.rejects(store.read('a/b'), isMissing)
      }))
    test('keys are listed in byte order, by prefix, with their sizes', () => withStore(({ store }) => checkList(store)))
    test('a deleted object is gone, can be created again, and deleting it twice is no error', () =>
      withStore(async ({ store }) => {
        await store.create('dir/gone', pattern(10, 1))
        await store.delete('dir/gone')
        await store.delete('dir/gone')
        await store.delete('never/was')
        assert.equal(await store.size('dir/gone'), undefined)
        assert.deepEqual(await keys(store, ''), [])
        assert.equal(await store.create('dir/gone', pattern(10, 2)), 'created')
      }))
    test('keys that could leave the store or hide in it are refused', () => withStore(({ store }) => checkKeys(store)))
    test('an aborted signal ends an operation with its reason, and leaves nothing', () =>
      withStore(async ({ store }) => {
        const reason = new Error('enough')
        const signal = AbortSignal.abort(reason)
        await assert.rejects(store.create('k', pattern(10, 1), { signal }), reason)
        await assert.rejects(store.read('k', { signal }), reason)
        await assert.rejects(Array.fromAsync(store.list('', { signal })), reason)
        assert.deepEqual(await keys(store, ''), [])
      }))
    test('of racing creators within a process exactly one wins', () =>
      withStore(async ({ store }) => {
        const bodies = Array.from({ length: 8 }, (_, index) => pattern(200_000, index))
        const outcomes = await Promise.all(bodies.map((body) => store.create('race/here', body)))
        await checkRace(store, 'race/here', outcomes, bodies)
      }))
    if (decides) {
      test('of racing creators in several processes exactly one wins', () =>
        withStore((under) => raceProcesses(under, rounds, checkRace)))
    } else {
      test('of racing creators in several processes one wins, and the object is that of a winner', () =>
        withStore((under) => raceProcesses(under, rounds, checkUndecidedRace)))
    }
    test('a process killed while it writes leaves nothing, or the whole object', () =>
      withStore((under) => killWriters(under, rounds)))
  })
}

async function checkRanges(store: ObjectStore): Promise<void> {
  const body = pattern(10_000, 3)
  await store.create('ranged', body)
  const ranges: readonly [number, number][] = [
    [0, 10],
    [9_990, 10],
    [9_990, 100],
    [123, 4_567],
    [0, 20_000],
    [10_000, 5],
    [12_000, 5],
    [5, 0],
  ]
  for (const [offset, length] of ranges) {
    assertSameBytes(await store.readRange('ranged', offset, length), body.subarray(offset, offset + length))
  }
}

async function checkMissing(store: ObjectStore): Promise<void> {
  await store.create('present', pattern(1, 1))
  for (const key of ['absent', 'absent/deep/below', 'present/below']) {
    await assert.rejects(store.read(key), isMissing)
    await assert.rejects(store.readRange(key, 0, 1), isMissing)
    assert.equal(await store.size(key), undefined)
  }
}

async function checkList(store: ObjectStore): Promise<void> {
  const all = ['a', 'b-c', 'b.c', 'b/a', 'b/b/c', 'b0', 'bb', 'c/0001', 'c/0010', 'c/A', 'c/a']
  for (const [index, key] of all.toReversed().entries()) await store.create(key, pattern(index, 0))
  assert.deepEqual(await keys(store, ''), all)
  assert.deepEqual(await keys(store, 'b/'), ['b/a', 'b/b/c'])
  assert.deepEqual(await keys(store, 'b'), ['b-c', 'b.c', 'b/a', 'b/b/c', 'b0', 'bb'])
  assert.deepEqual(await keys(store, 'c/00'), ['c/0001', 'c/0010'])
  assert.deepEqual(await keys(store, 'b/b/c'), ['b/b/c'])
  assert.deepEqual(await keys(store, 'd/'), [])
  assert.deepEqual(await keys(store, '../'), [])
  const sizes = (await Array.fromAsync(store.list(''))).map(({ sizeBytes }) => sizeBytes)
  assert.deepEqual(
    sizes,
    all.map((_, index) => all.length - 1 - index),
  )
}

async function checkKeys(store: ObjectStore): Promise<void> {
  const wrong = [
    '',
    '/a',
    'a/',
    'a//b',
    '.',
    '..',
    'a/../b',
    './a',
    '.hidden',
    'a/.b',
    'a b',
    'ä',
    'a\\b',
    'a\0',
    'x'.repeat(600),
  ]
  for (const key of wrong) {
    await assert.rejects(store.create(key, pattern(1, 1)), isInvalidKey, key)
    await assert.rejects(store.read(key), isInvalidKey, key)
    await assert.rejects(store.delete(key), isInvalidKey, key)
  }
  assert.deepEqual(await keys(store, ''), [])
}

async function raceProcesses(
  { store, opener }: StoreUnderTest,
  rounds: number,
  check: typeof checkRace,
): Promise<void> {
  const contenders = 4
  await using children = await startChildren(contenders)
  for (let round = 0; round < rounds; round += 1) {
    const key = `race/${round}`
    const reports = children.list.map((child, seed) => order(child, { opener, key, length: 300_000, seed }))
    const outcomes = await Promise.all(reports)
    const bodies = Array.from({ length: contenders }, (_, seed) => pattern(300_000, seed))
    await check(store, key, outcomes, bodies)
  }
}

async function checkRace(
  store: ObjectStore,
  key: string,
  outcomes: readonly ('created' | 'exists')[],
  bodies: readonly Uint8Array[],
): Promise<void> {
  assert.equal(outcomes.filter((outcome) => outcome === 'created').length, 1)
  assertSameBytes(await store.read(key), bodies[outcomes.indexOf('created')] ?? new Uint8Array())
}

/** Without a decision nothing is torn at least, and nobody is told "created" in vain while another's object lies there. */
async function checkUndecidedRace(
  store: ObjectStore,
  key: string,
  outcomes: readonly ('created' | 'exists')[],
  bodies: readonly Uint8Array[],
): Promise<void> {
  assert.ok(outcomes.includes('created'))
  const present = await store.read(key)
  const whose = bodies.findIndex((body) => Buffer.compare(body, present) === 0)
  assert.equal(outcomes[whose], 'created')
}

/** Kills writers at different moments of a large write: from its very beginning until some come through. */
async function killWriters({ store, opener }: StoreUnderTest, rounds: number): Promise<void> {
  const length = 24_000_000
  for (let round = 0; round < rounds; round += 1) {
    const key = `killed/${round}`
    await using children = await startChildren(1)
    const [child] = children.list
    assert.ok(child)
    const writing = reported(child, 'writing')
    child.send({ opener, key, length, seed: round })
    await writing
    for (let turn = 0; turn < (round * round * 64) / rounds ** 2; turn += 1) await new Promise(setImmediate)
    const gone = once(child, 'exit')
    child.kill('SIGKILL')
    await gone
    const listed = await keys(store, 'killed/')
    if (!listed.includes(key)) assert.equal(await store.size(key), undefined)
    else assertSameBytes(await store.read(key), pattern(length, round))
    assert.notEqual(await store.create(key, pattern(length, round)), undefined)
    assertSameBytes(await store.read(key), pattern(length, round))
  }
}

interface Children extends AsyncDisposable {
  readonly list: readonly ChildProcess[]
}

async function startChildren(count: number): Promise<Children> {
  const program = fileURLToPath(new URL('./object-store-child.ts', import.meta.url))
  const list = Array.from({ length: count }, () => fork(program, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] }))
  await Promise.all(list.map((child) => reported(child, 'ready')))
  return {
    list,
    [Symbol.asyncDispose]: async () => {
      for (const child of list) {
        if (child.exitCode !== null || child.signalCode !== null) continue
        const gone = once(child, 'exit')
        child.kill('SIGKILL')
        await gone
      }
    },
  }
}

async function order(child: ChildProcess, job: Readonly<Record<string, unknown>>): Promise<'created' | 'exists'> {
  const done = reported(child, 'done')
  child.send(job)
  const { outcome } = await done
  assert.ok(outcome)
  return outcome
}

/** The next report of this kind; rejects when the child ends before it. */
async function reported(child: ChildProcess, event: ChildReport['event']): Promise<ChildReport> {
  const { promise, resolve, reject } = Promise.withResolvers<ChildReport>()
  const onMessage = (report: ChildReport): void => (report.event === event ? resolve(report) : undefined)
  const onExit = (): void => reject(new Error(`the child process ended before it reported ${event}`))
  child.on('message', onMessage).on('exit', onExit)
  try {
    return await promise
  } finally {
    child.off('message', onMessage).off('exit', onExit)
  }
}

/** Bytes that differ for every seed and nowhere repeat in a way that a misplaced piece would go unnoticed. */
export function pattern(length: number, seed: number): Uint8Array {
  const bytes = new Uint8Array(length)
  let state = (seed + 1) * 0x9e37_79b1
  for (let index = 0; index < length; index += 1) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) | 0
    bytes[index] = state >>> 24
  }
  return bytes
}

async function keys(store: ObjectStore, prefix: string): Promise<string[]> {
  return (await Array.fromAsync(store.list(prefix))).map(({ key }) => key)
}

function assertSameBytes(actual: Uint8Array, expected: Uint8Array): void {
  assert.equal(actual.length, expected.length)
  assert.equal(Buffer.compare(actual, expected), 0, 'the bytes differ')
}

function isMissing(error: unknown): boolean {
  return isFault(error, storeFaults['store-object-missing'])
}

function isInvalidKey(error: unknown): boolean {
  return isFault(error, storeFaults['store-key-invalid'])
}
