import assert from 'node:assert/strict'
import { createHash, randomUUID } from 'node:crypto'
import { readdir, rm, utimes } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { freePort } from '../../src/postgres/port.ts'
import { systemClock, type MonotonicMs } from '../../src/std/clock.ts'
import { Secret } from '../../src/std/secret.ts'
import { openWebDavStore } from '../../src/store/webdav/webdav-store.ts'
import type { ObjectStore } from '../../src/store/object-store.ts'
import { pattern } from '../contract/object-store.ts'
import { startFaultProxy, type FaultProxy, type Meddling, type Rule } from '../support/fault-proxy.ts'
import { startApache, type ApacheServer } from '../support/servers/apache.ts'
import { openSmallDisks } from '../support/small-disk.ts'
import { makeFolder } from './webdav-contract.ts'
import { openWebDavFromPlainData, type PlainWebDavOptions } from './webdav-opener.ts'
import { assertFault } from './s3-faults.ts'

/** What WebDAV servers and the way to them can do to a store, each seen from the operator's side. */
export function webDavFaults(apache: () => ApacheServer): void {
  describe('WebDAV in bad times', () => {
    let proxy: FaultProxy
    before(async () => {
      proxy = await startFaultProxy(apache().port)
    })
    after(() => proxy[Symbol.asyncDispose]())

    const options = (over: Partial<PlainWebDavOptions> = {}): PlainWebDavOptions => {
      const { user, password } = apache()
      return { url: proxy.url, user, password, patienceMs: 2000, ...over }
    }
    /** A store in a folder of its own, behind the proxy, that has already found out how objects are created. */
    const settled = async (over: Partial<PlainWebDavOptions> = {}): Promise<ObjectStore & { folder: string }> => {
      proxy.setRule(undefined)
      const folder = randomUUID()
      await makeFolder(apache(), `/${folder}`)
      const store = await openWebDavFromPlainData(options({ url: `${proxy.url}/${folder}`, ...over }))
      await store.create('settled', pattern(1, 1))
      return { ...store, folder }
    }
    const once = (method: string, meddling: Meddling): Rule => {
      let used = false
      return (seen) => {
        if (used || seen.method !== method) return undefined
        used = true
        return meddling
      }
    }

    test('an answer to the move that was lost is found out: the object counts as created by us', async () => {
      await using store = await settled()
      proxy.setRule(once('MOVE', { kind: 'lose-answer' }))
      assert.equal(await store.create('a/lost', pattern(1000, 2)), 'created')
      assert.equal(await store.create('a/lost', pattern(1000, 3)), 'exists')
      assert.equal(Buffer.compare(await store.read('a/lost'), pattern(1000, 2)), 0)
    })

    test('what did not arrive whole never gets its name, and is sent again', async () => {
      await using store = await settled()
      const body = pattern(3_000_000, 4)
      const troubles: readonly Meddling[] = [
        { kind: 'cut-request', afterBytes: 1_000_000 },
        { kind: 'shorten-request', toBytes: 1_000_000 },
        { kind: 'lose-answer' },
      ]
      for (const [index, meddling] of troubles.entries()) {
        proxy.setRule(once('PUT', meddling))
        assert.equal(await store.create(`whole/${index}`, body), 'created')
        assert.equal(Buffer.compare(await store.read(`whole/${index}`), body), 0)
      }
      proxy.setRule(once('GET', { kind: 'cut-answer', afterBytes: 1_000_000 }))
      assert.equal(Buffer.compare(await store.read('whole/0'), body), 0)
      proxy.setRule(() => ({ kind: 'drop-request-headers', names: ['range'] }))
      assert.equal(Buffer.compare(await store.readRange('whole/0', 5, 1000), body.subarray(5, 1005)), 0)
      const own = join(apache().root, store.folder, '.holdfast')
      assert.deepEqual(await readdir(join(own, 'uploads')), [])
      assert.deepEqual(await readdir(join(own, 'claims')), [])
    })

    test('a claim that a killed process left holds others up for a moment, and no longer', async () => {
      await using store = await settled({ patienceMs: 300 })
      const key = 'held/here'
      const claim = `/${store.folder}/.holdfast/claims/${createHash('sha256').update(key).digest('hex').slice(0, 32)}.0`
      await makeFolder(apache(), claim)
      await assertFault(store.create(key, pattern(5, 1)), 'store-overloaded', 'busy')
      assert.equal(await store.size(key), undefined)
      const past = Date.now() / 1000 - 60
      await utimes(join(apache().root, claim), past, past)
      assert.equal(await store.create(key, pattern(5, 1)), 'created')
      assert.deepEqual(await readdir(join(apache().root, store.folder, '.holdfast', 'claims')), [])
    })

    test('a server that asks for a pause gets it', async () => {
      const waits: number[] = []
      let ahead = 0
      proxy.setRule(undefined)
      await using store = await openWebDavStore({
        ...options(),
        password: async () => new Secret(apache().password),
        clock: {
          ...systemClock,
          monotonic: () => (systemClock.monotonic() + ahead) as MonotonicMs,
          sleep: async (ms) => {
            waits.push(ms)
            ahead += ms
          },
        },
      })
      const slow: Meddling = { kind: 'answer', status: 503, headers: { 'retry-after': '2' } }
      proxy.setRule((_, count) => (count < 2 ? slow : undefined))
      assert.equal(await store.size('absent'), undefined)
      assert.deepEqual(waits, [2000, 2000])
      proxy.setRule(() => slow)
      await assertFault(store.size('absent'), 'store-overloaded', 'busy')
    })

    test('a file that another client has locked is waited for', async () => {
      await using store = await settled({ patienceMs: 300 })
      const { url, user, password } = apache()
      const authorization = `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`
      const dav = async (method: string, headers: Record<string, string>, body?: string): Promise<Response> =>
        await fetch(`${url}/${store.folder}/locked/`, {
          method,
          headers: { authorization, ...headers },
          body: body ?? null,
        })
      await makeFolder(apache(), `/${store.folder}/locked`)
      const scope = '<lockinfo xmlns="DAV:"><lockscope><exclusive/></lockscope><locktype><write/></locktype></lockinfo>'
      const locked = await dav('LOCK', { depth: 'infinity', 'content-type': 'application/xml' }, scope)
      assert.equal(locked.status, 200)
      await assertFault(store.create('locked/a', pattern(5, 1)), 'store-overloaded', 'busy')
      let moves = 0
      proxy.setRule(({ method }) => {
        if (method === 'MOVE' && ++moves === 2)
          void dav('UNLOCK', { 'lock-token': locked.headers.get('lock-token') ?? '' })
        return undefined
      })
      assert.equal(await store.create('locked/a', pattern(5, 1)), 'created')
      assert.ok(moves > 1)
    })

    test('a server that is not there, says nothing, or is none of WebDAV, is named so', async () => {
      const nobody = options({ url: `http://127.0.0.1:${await freePort()}`, patienceMs: 300 })
      await assertFault(openWebDavFromPlainData(nobody), 'store-unreachable', 'unreachable')
      proxy.setRule(() => ({ kind: 'never-answer' }))
      const silent = options({ patienceMs: 300, idleTimeoutMs: 300 })
      await assertFault(openWebDavFromPlainData(silent), 'store-unreachable', 'unreachable')
      const [stop, reason] = [new AbortController(), new Error('enough')]
      proxy.setRule(() => {
        stop.abort(reason)
        return { kind: 'never-answer' }
      })
      const hurried = openWebDavStore({
        ...options(),
        signal: stop.signal,
        password: async () => new Secret(apache().password),
        clock: systemClock,
      })
      await assert.rejects(hurried, reason)
      proxy.setRule(() => ({ kind: 'answer', status: 200, body: '<html>' }))
      await assertFault(openWebDavFromPlainData(options()), 'store-protocol-unexpected', 'usage')
      proxy.setRule(() => ({ kind: 'answer', status: 207, body: 'not xml' }))
      await assertFault(openWebDavFromPlainData(options()), 'store-protocol-unexpected', 'usage')
      proxy.setRule(undefined)
      const https = options({ url: proxy.url.replace('http:', 'https:') })
      await assertFault(openWebDavFromPlainData(https), 'store-protocol-unexpected', 'usage')
    })

    test('a certificate is trusted when its authority is named, and refused when not', async () => {
      const { urlTls: url, caFile } = apache()
      await assertFault(openWebDavFromPlainData(options({ url })), 'store-certificate-untrusted', 'refused')
      await using store = await openWebDavFromPlainData(options({ url, caFile }))
      assert.equal(await store.create('private', pattern(100_000, 1)), 'created')
      assert.equal((await store.read('private')).length, 100_000)
    })

    test('a password that is changed is read again, and missed when there is no new one', async () => {
      const { setPassword, password: first } = apache()
      await using store = await settled()
      let current = first
      await using changing = await openWebDavStore({
        ...options({ url: `${proxy.url}/${store.folder}` }),
        password: async () => new Secret(current),
        clock: systemClock,
      })
      await setPassword('another one')
      try {
        await assertFault(changing.read('settled'), 'store-credentials-refused', 'refused')
        await assertFault(openWebDavFromPlainData(options()), 'store-credentials-refused', 'refused')
        current = 'another one'
        assert.equal((await changing.read('settled')).length, 1)
      } finally {
        await setPassword(first)
      }
    })

    test('a full disk says that it is full, leaves nothing, and what is there stays readable', async (t) => {
      await using stack = new AsyncDisposableStack()
      let possible = true
      const launcher = async (root: string): Promise<readonly string[]> => {
        const disks = await openSmallDisks(new Map([[root, 2]]))
        possible = disks !== undefined
        if (disks !== undefined) stack.use(disks)
        return disks?.launcher ?? []
      }
      const small = stack.use(await startApache({ launcher }))
      if (!possible) return t.skip('no unprivileged user namespaces here')
      const { url, user, password } = small
      await using store = await openWebDavFromPlainData({ url, user, password, patienceMs: 500 })
      assert.equal(await store.create('little', pattern(1000, 1)), 'created')
      await assertFault(store.create('large', pattern(3_000_000, 1)), 'disk-full', 'failed')
      assert.equal((await store.read('little')).length, 1000)
      assert.equal(await store.create('after', pattern(500_000, 1)), 'created')
      assert.deepEqual(
        (await Array.fromAsync(store.list(''))).map(({ key }) => key),
        ['after', 'little'],
      )
    })

    test('an object, a folder of objects, or the store itself that somebody removed is named', async () => {
      await using store = await settled()
      const disk = join(apache().root, store.folder)
      await store.create('dir/deep/a', pattern(5, 1))
      await rm(join(disk, 'dir'), { recursive: true })
      await assertFault(store.read('dir/deep/a'), 'store-object-missing', 'notFound')
      assert.equal(await store.create('dir/deep/a', pattern(5, 1)), 'created')
      await rm(join(disk, '.holdfast'), { recursive: true })
      assert.equal(await store.create('dir/deep/b', pattern(5, 1)), 'created')
      await rm(disk, { recursive: true })
      for (const attempt of [
        () => store.read('dir/deep/a'),
        () => store.size('dir/deep/a'),
        () => store.create('dir/deep/c', pattern(5, 1)),
        () => Array.fromAsync(store.list('')),
        () => store.delete('dir/deep/a'),
        () => openWebDavFromPlainData(options({ url: `${proxy.url}/${store.folder}` })),
      ]) {
        await assertFault(attempt(), 'store-root-missing', 'notFound')
      }
    })

    test('a folder is not deleted in place of an object', async () => {
      await using store = await settled()
      await store.create('main/a', pattern(5, 1))
      await store.delete('main')
      assert.equal(await store.size('main/a'), 5)
    })

    test('a server that ignores every condition is found out before anything is written into it', async () => {
      const folder = randomUUID()
      await makeFolder(apache(), `/${folder}`)
      const careless: Rule = ({ method }) =>
        method === 'MKCOL'
          ? { kind: 'change-status', from: 405, to: 201 }
          : { kind: 'drop-request-headers', names: ['overwrite'] }
      proxy.setRule(careless)
      const url = `${proxy.url}/${folder}`
      await using strict = await openWebDavFromPlainData(options({ url }))
      await assertFault(strict.create('first', pattern(5, 1)), 'store-unconditional', 'refused')
      assert.deepEqual(await Array.fromAsync(strict.list('')), [])
      await using copy = await openWebDavFromPlainData(options({ url, conditionalCreate: 'emulated' }))
      assert.equal(await copy.create('first', pattern(5, 1)), 'created')
      assert.equal(await copy.create('first', pattern(5, 2)), 'exists')
      assert.equal(Buffer.compare(await copy.read('first'), pattern(5, 1)), 0)
    })
  })
}
