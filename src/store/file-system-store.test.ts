import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { chmod, mkdtemp, readdir, rm, stat, utimes, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test, { type TestContext } from 'node:test'
import { systemClock } from '../std/clock.ts'
import { isFault } from '../std/fault.ts'
import { storeFaults } from './faults.ts'
import { openFileSystemStore } from './file-system-store.ts'

async function scratch(t: TestContext): Promise<string> {
  const root = await mkdtemp(join(tmpdir(), 'holdfast-store-'))
  t.after(() => rm(root, { recursive: true, force: true }))
  return root
}

test('a missing root is an error, not a new directory: it is mostly a missing mount', async (t) => {
  const root = join(await scratch(t), 'not', 'there')
  const missing = (error: unknown): boolean => isFault(error, storeFaults['store-root-missing'])
  await assert.rejects(openFileSystemStore({ root, clock: systemClock }), missing)
  await using store = await openFileSystemStore({ root, createRoot: true, clock: systemClock })
  await store.create('a', Buffer.from('x'))
  await rm(root, { recursive: true })
  await assert.rejects(store.create('b', Buffer.from('x')), missing)
})

test('objects are for their owner only', async (t) => {
  const root = await scratch(t)
  await using store = await openFileSystemStore({ root, clock: systemClock })
  await store.create('a/b', Buffer.from('x'))
  assert.equal((await stat(join(root, 'a'))).mode & 0o777, 0o700)
  assert.equal((await stat(join(root, 'a/b'))).mode & 0o777, 0o600)
})

test('temporary files of crashed writers are not listed, and are removed a day later', async (t) => {
  const root = await scratch(t)
  await using store = await openFileSystemStore({ root, clock: systemClock })
  await store.create('a', Buffer.from('x'))
  assert.deepEqual(await readdir(join(root, '.tmp')), [])
  const dayAgo = (Date.now() - 25 * 3_600_000) / 1000
  for (const name of ['old', 'young']) await writeFile(join(root, '.tmp', name), 'part')
  await utimes(join(root, '.tmp', 'old'), dayAgo, dayAgo)
  await using again = await openFileSystemStore({ root, clock: systemClock })
  assert.deepEqual(
    (await Array.fromAsync(again.list(''))).map(({ key }) => key),
    ['a'],
  )
  assert.deepEqual(await readdir(join(root, '.tmp')), ['young'])
})

test('a directory we may not write into, or read from, is named', async (t) => {
  if (process.getuid?.() === 0) return t.skip('root may write everywhere')
  const root = await scratch(t)
  await using store = await openFileSystemStore({ root, clock: systemClock })
  await store.create('a/b', Buffer.from('x'))
  const denied = (error: unknown): boolean => isFault(error, storeFaults['store-access-denied'])
  await chmod(join(root, 'a'), 0o500)
  await assert.rejects(store.create('a/c', Buffer.from('x')), denied)
  await assert.rejects(store.delete('a/b'), denied)
  await chmod(join(root, 'a'), 0o000)
  await assert.rejects(store.read('a/b'), denied)
  await assert.rejects(Array.fromAsync(store.list('')), denied)
  await chmod(join(root, 'a'), 0o700)
  assert.deepEqual(await readdir(join(root, '.tmp')), [])
})

test('a full disk is a fault of its own, leaves nothing, and what was there stays readable', async (t) => {
  const root = await scratch(t)
  const inNamespace = (script: string): ReturnType<typeof spawnSync> =>
    spawnSync('unshare', ['--user', '--map-root-user', '--mount', 'sh', '-ec', script], { encoding: 'utf8' })
  if (inNamespace(`mount -t tmpfs none ${root}`).status !== 0) return t.skip('no unprivileged user namespaces here')
  const program = `
    import { openFileSystemStore } from '${new URL('./file-system-store.ts', import.meta.url).href}'
    import { systemClock } from '${new URL('../std/clock.ts', import.meta.url).href}'
    import { readdirSync } from 'node:fs'
    const store = await openFileSystemStore({ root: '${root}', clock: systemClock })
    const codes = [await store.create('small', Buffer.alloc(1000, 1))]
    await store.create('large', Buffer.alloc(3_000_000, 1)).catch((fault) => codes.push(fault.code))
    codes.push(await store.create('after', Buffer.alloc(500_000, 1)), (await store.read('small')).length)
    const keys = (await Array.fromAsync(store.list(''))).map(({ key }) => key)
    console.log(JSON.stringify({ codes, keys, temporary: readdirSync('${root}/.tmp') }))`
  await writeFile(`${root}.mjs`, program)
  t.after(() => rm(`${root}.mjs`))
  const run = inNamespace(`mount -t tmpfs -o size=1m none ${root}; exec '${process.execPath}' ${root}.mjs`)
  assert.equal(run.status, 0, String(run.stderr))
  assert.deepEqual(JSON.parse(String(run.stdout)), {
    codes: ['created', 'disk-full', 'created', 1000],
    keys: ['after', 'small'],
    temporary: [],
  })
})

for (const method of ['read', 'readRange'] as const) {
  test(`${method} that is interrupted rejects once, and nobody else hears of it`, async (t) => {
    await using store = await openFileSystemStore({ root: await scratch(t), clock: systemClock })
    await store.create('a', new Uint8Array(100))
    const reason = new Error('interrupted')
    let looks = 0
    // Aborts between the opening of the file and its first byte.
    const signal = {
      throwIfAborted: () => {
        looks += 1
        if (looks === 2) throw reason
      },
    } as AbortSignal
    const unheard: unknown[] = []
    const hear = (error: unknown): void => void unheard.push(error)
    process.on('unhandledRejection', hear)
    const options = { signal }
    await assert.rejects(method === 'read' ? store.read('a', options) : store.readRange('a', 0, 9, options), reason)
    await new Promise((resolve) => setImmediate(resolve))
    process.off('unhandledRejection', hear)
    assert.deepEqual(unheard, [])
  })
}
