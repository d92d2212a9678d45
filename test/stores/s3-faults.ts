import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { after, before, describe, test } from 'node:test'
import {
  CreateBucketCommand,
  DeleteBucketCommand,
  PutBucketPolicyCommand,
  PutObjectCommand,
  type S3Client,
} from '@aws-sdk/client-s3'
import { freePort } from '../../src/postgres/port.ts'
import { systemClock, type MonotonicMs } from '../../src/std/clock.ts'
import { Fault } from '../../src/std/fault.ts'
import { Secret } from '../../src/std/secret.ts'
import { openS3Store } from '../../src/store/s3/s3-store.ts'
import type { ObjectStore } from '../../src/store/object-store.ts'
import { pattern } from '../contract/object-store.ts'
import { startFaultProxy, type FaultProxy, type Meddling } from '../support/fault-proxy.ts'
import { keyWords, type CephGateway } from '../support/servers/ceph.ts'
import { openS3FromPlainData, type PlainS3Options } from './s3-opener.ts'

const bucket = 'faults'

/** What S3 and the way to it can do to a store, each seen from the operator's side. */
export function s3Faults(ceph: () => CephGateway, client: () => S3Client): void {
  describe('S3 in bad times', () => {
    let proxy: FaultProxy
    before(async () => {
      proxy = await startFaultProxy(ceph().port)
      await client().send(new CreateBucketCommand({ Bucket: bucket }))
    })
    after(() => proxy[Symbol.asyncDispose]())

    const options = (over: Partial<PlainS3Options> = {}): PlainS3Options => ({
      endpoint: proxy.url,
      keys: ceph().keys,
      bucket,
      prefix: randomUUID(),
      patienceMs: 2000,
      ...over,
    })
    /** A store behind the proxy that has already found out how objects are created. */
    const settled = async (over: Partial<PlainS3Options> = {}): Promise<ObjectStore> => {
      proxy.setRule(undefined)
      const store = await openS3FromPlainData(options(over))
      await store.create('settled', pattern(1, 1))
      return store
    }
    const once =
      (method: string, meddling: Meddling) =>
      (seen: { readonly method: string }, _count: number): Meddling | undefined => {
        if (used.has(meddling) || seen.method !== method) return undefined
        used.add(meddling)
        return meddling
      }
    const used = new WeakSet<Meddling>()

    test('an answer that was lost is found out: the object counts as created by us', async () => {
      await using store = await settled()
      proxy.setRule(once('PUT', { kind: 'lose-answer' }))
      assert.equal(await store.create('lost', pattern(100_000, 2)), 'created')
      assert.equal(await store.create('lost', pattern(100_000, 3)), 'exists')
      assert.deepEqual(Buffer.from(await store.read('lost')), Buffer.from(pattern(100_000, 2)))
    })

    test('a connection cut in the middle of an upload or a download costs another try', async () => {
      await using store = await settled()
      const body = pattern(3_000_000, 4)
      proxy.setRule(once('PUT', { kind: 'cut-request', afterBytes: 1_000_000 }))
      assert.equal(await store.create('cut', body), 'created')
      proxy.setRule(once('GET', { kind: 'cut-answer', afterBytes: 1_000_000 }))
      assert.equal(Buffer.compare(await store.read('cut'), body), 0)
      proxy.setRule(once('GET', { kind: 'cut-answer', afterBytes: 100 }))
      assert.equal(Buffer.compare(await store.readRange('cut', 5, 1000), body.subarray(5, 1005)), 0)
    })

    test('bytes that were altered or lost on the way are read again; what stays wrong is not hidden', async () => {
      await using store = await settled()
      const body = pattern(200_000, 5)
      await store.create('wrong', body)
      for (const meddling of [
        { kind: 'flip-bit', atByte: 777 },
        { kind: 'truncate', toBytes: 1000 },
      ] as const) {
        proxy.setRule(once('GET', meddling))
        assert.equal(Buffer.compare(await store.read('wrong'), body), 0)
        assert.equal(proxy.seen.length, 2)
      }
      proxy.setRule(() => ({ kind: 'flip-bit', atByte: 777 }))
      assert.notEqual(Buffer.compare(await store.read('wrong'), body), 0)
      assert.equal(proxy.seen.length, 3)
    })

    test('a server that asks for a pause gets it, and is not asked for ever', async () => {
      proxy.setRule(undefined)
      const waits: number[] = []
      let ahead = 0
      await using store = await openS3Store({
        ...options(),
        credentials: async () => new Secret(ceph().keys),
        clock: {
          ...systemClock,
          monotonic: () => (systemClock.monotonic() + ahead) as MonotonicMs,
          sleep: async (ms) => {
            waits.push(ms)
            ahead += ms
          },
        },
      })
      await store.create('busy', pattern(10, 1))
      const slow: Meddling = {
        kind: 'answer',
        status: 503,
        headers: { 'retry-after': '3' },
        body: '<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>',
      }
      proxy.setRule((_, count) => (count < 2 ? slow : undefined))
      assert.equal((await store.read('busy')).length, 10)
      assert.deepEqual(waits, [3000, 3000])
      proxy.setRule(() => slow)
      await assertFault(store.read('busy'), 'store-overloaded', 'busy')
      assert.ok(waits.length < 10)
    })

    test('a server that is not there, or says nothing, is unreachable', async () => {
      const endpoint = `http://127.0.0.1:${await freePort()}`
      await assertFault(openS3FromPlainData(options({ endpoint, patienceMs: 300 })), 'store-unreachable', 'unreachable')
      const named = options({ endpoint: 'http://nowhere.invalid', patienceMs: 300 })
      await assertFault(openS3FromPlainData(named), 'store-unreachable', 'unreachable')
      proxy.setRule(() => ({ kind: 'never-answer' }))
      const silent = openS3Store({
        ...options({ patienceMs: 300 }),
        idleTimeoutMs: 300,
        credentials: async () => new Secret(ceph().keys),
        clock: systemClock,
      })
      await assertFault(silent, 'store-unreachable', 'unreachable')
      const [stop, reason] = [new AbortController(), new Error('enough')]
      proxy.setRule(() => {
        stop.abort(reason)
        return { kind: 'never-answer' }
      })
      const hurried = openS3Store({
        ...options(),
        signal: stop.signal,
        credentials: async () => new Secret(ceph().keys),
        clock: systemClock,
      })
      await assert.rejects(hurried, reason)
    })

    test('what answers but is no S3 server, or speaks another protocol, is named so', async () => {
      proxy.setRule(() => ({
        kind: 'answer',
        status: 200,
        headers: { 'content-type': 'text/html' },
        body: '<html><p>Hi',
      }))
      await assertFault(openS3FromPlainData(options()), 'store-protocol-unexpected', 'usage')
      proxy.setRule(() => ({ kind: 'answer', status: 404, body: 'no such page' }))
      await assertFault(openS3FromPlainData(options()), 'store-protocol-unexpected', 'usage')
      proxy.setRule(undefined)
      const https = options({ endpoint: proxy.url.replace('http:', 'https:') })
      await assertFault(openS3FromPlainData(https), 'store-protocol-unexpected', 'usage')
    })

    test('a certificate is trusted when its authority is named, and refused when not', async () => {
      const { endpointTls: endpoint, caFile } = ceph()
      await assertFault(openS3FromPlainData(options({ endpoint })), 'store-certificate-untrusted', 'refused')
      await using store = await openS3FromPlainData(options({ endpoint, caFile }))
      await store.create('private', pattern(100_000, 1))
      assert.equal((await store.read('private')).length, 100_000)
    })

    test('wrong keys, another user’s keys, no such bucket: each has its own name', async () => {
      proxy.setRule(undefined)
      const { keys } = ceph()
      const wrongSecret = { ...keys, secretAccessKey: 'x'.repeat(40) }
      await assertFault(openS3FromPlainData(options({ keys: wrongSecret })), 'store-credentials-refused', 'refused')
      const wrongId = { ...keys, accessKeyId: 'NOSUCHKEY00000000001' }
      await assertFault(openS3FromPlainData(options({ keys: wrongId })), 'store-credentials-refused', 'refused')
      const stranger = {
        accessKeyId: 'STRANGER000000000001',
        secretAccessKey: 'strangersecret0000000000000000000000001',
      }
      await ceph().admin('user', 'create', '--uid=stranger', '--display-name=Stranger', ...keyWords(stranger))
      await assertFault(openS3FromPlainData(options({ keys: stranger })), 'store-access-denied', 'failed')
      await assertFault(openS3FromPlainData(options({ bucket: 'no-such-bucket' })), 'store-root-missing', 'notFound')
    })

    test('a clock that is wrong is put right by the answers; without their date it is named', async () => {
      proxy.setRule(undefined)
      const hour = 3_600_000
      {
        await using store = await openS3FromPlainData(options({ clockOffMs: hour }))
        assert.equal(await store.create('late', pattern(5, 1)), 'created')
      }
      proxy.setRule(() => ({ kind: 'drop-answer-headers', names: ['date'] }))
      await assertFault(openS3FromPlainData(options({ clockOffMs: -hour })), 'store-clock-skewed', 'failed')
    })

    test('credentials that end in the middle are read again, and missed when there are no new ones', async () => {
      proxy.setRule(undefined)
      const first = { accessKeyId: 'FIRSTKEY000000000001', secretAccessKey: 'firstsecret00000000000000000000000000001' }
      const second = {
        accessKeyId: 'SECONDKEY00000000001',
        secretAccessKey: 'secondsecret0000000000000000000000000001',
      }
      const replace = async (before: typeof first, next: typeof first): Promise<void> => {
        await ceph().admin('key', 'create', '--uid=tester', '--key-type=s3', ...keyWords(next))
        await ceph().admin('key', 'rm', '--uid=tester', '--key-type=s3', `--access-key=${before.accessKeyId}`)
      }
      await ceph().admin('key', 'create', '--uid=tester', '--key-type=s3', ...keyWords(first))
      let current = first
      await using store = await openS3Store({
        ...options(),
        credentials: async () => new Secret(current),
        clock: systemClock,
      })
      await store.create('before', pattern(5, 1))
      await replace(first, second)
      await assertFault(store.read('before'), 'store-credentials-refused', 'refused')
      await assertFault(store.create('after', pattern(5, 1)), 'store-credentials-refused', 'refused')
      current = second
      assert.equal((await store.read('before')).length, 5)
      assert.equal(await store.create('after', pattern(5, 1)), 'created')
    })

    test('a full store says that it is full, and what is there stays readable', async () => {
      proxy.setRule(undefined)
      const owner = { accessKeyId: 'SMALLKEY000000000001', secretAccessKey: 'smallsecret00000000000000000000000000001' }
      await ceph().admin('user', 'create', '--uid=small', '--display-name=Small', ...keyWords(owner))
      await using small = await openS3FromPlainData(options({ keys: ceph().keys, bucket: await ownedBy(owner) }))
      await small.create('little', pattern(1000, 1))
      await ceph().admin('quota', 'set', '--quota-scope=user', '--uid=small', '--max-size=65536')
      await ceph().admin('quota', 'enable', '--quota-scope=user', '--uid=small')
      await assertFault(small.create('large', pattern(200_000, 1)), 'disk-full', 'failed')
      assert.equal((await small.read('little')).length, 1000)
      assert.equal(await small.size('large'), undefined)
    })

    /** A bucket that belongs to a user with a quota, and in which the tests' own user may do everything. */
    const ownedBy = async (owner: PlainS3Options['keys']): Promise<string> => {
      const { S3Client } = await import('@aws-sdk/client-s3')
      const own = new S3Client({
        endpoint: ceph().endpoint,
        region: 'us-east-1',
        forcePathStyle: true,
        credentials: owner,
      })
      await own.send(new CreateBucketCommand({ Bucket: 'small' }))
      const anyone = {
        Version: '2012-10-17',
        Statement: [
          {
            Effect: 'Allow',
            Principal: { AWS: ['arn:aws:iam:::user/tester'] },
            Action: 's3:*',
            Resource: ['arn:aws:s3:::small', 'arn:aws:s3:::small/*'],
          },
        ],
      }
      await own.send(new PutBucketPolicyCommand({ Bucket: 'small', Policy: JSON.stringify(anyone) }))
      own.destroy()
      return 'small'
    }

    test('an object or a bucket that somebody removed is named', async () => {
      proxy.setRule(undefined)
      await client().send(new CreateBucketCommand({ Bucket: 'going' }))
      await using store = await openS3FromPlainData(options({ bucket: 'going', prefix: 'p' }))
      await store.create('gone', pattern(5, 1))
      const { DeleteObjectCommand } = await import('@aws-sdk/client-s3')
      await client().send(new DeleteObjectCommand({ Bucket: 'going', Key: 'p/gone' }))
      await assertFault(store.read('gone'), 'store-object-missing', 'notFound')
      await client().send(new DeleteObjectCommand({ Bucket: 'going', Key: 'p/.holdfast/write-once' }))
      await client().send(new DeleteBucketCommand({ Bucket: 'going' }))
      for (const attempt of [
        () => store.read('gone'),
        () => store.size('gone'),
        () => store.create('new', pattern(5, 1)),
        () => Array.fromAsync(store.list('')),
        () => store.delete('gone'),
      ]) {
        await assertFault(attempt(), 'store-root-missing', 'notFound')
      }
    })

    test('a server that ignores conditions is found out before anything is written into it', async () => {
      const { endpoint, keys } = ceph()
      const ignoring = async (seen: { readonly path: string }, body: Buffer): Promise<{ status: number }> => {
        const key = decodeURIComponent(new URL(seen.path, endpoint).pathname).split('/').slice(2).join('/')
        await client().send(new PutObjectCommand({ Bucket: bucket, Key: key, Body: body }))
        return { status: 200 }
      }
      proxy.setRule(({ method }) => (method === 'PUT' ? { kind: 'handle', handle: ignoring } : undefined))
      const plain = options({ keys })
      {
        await using store = await openS3FromPlainData(plain)
        await assertFault(store.create('first', pattern(5, 1)), 'store-unconditional', 'refused')
        assert.deepEqual(await Array.fromAsync(store.list('')), [])
      }
    })

    test('a signal ends an operation at once while it waits for another try', async () => {
      await using store = await settled({ patienceMs: 60_000 })
      const stop = new AbortController()
      const reason = new Error('enough')
      proxy.setRule((_, count) => {
        if (count === 1) setImmediate(() => stop.abort(reason))
        return { kind: 'answer', status: 500 }
      })
      await assert.rejects(store.read('settled', { signal: stop.signal }), reason)
    })
  })
}

export async function assertFault(work: Promise<unknown>, code: string, exitClass: string): Promise<void> {
  const error = await work.then(
    async (result) => {
      if (typeof result === 'object' && result !== null && Symbol.asyncDispose in result) {
        await (result as AsyncDisposable)[Symbol.asyncDispose]()
      }
      return undefined
    },
    (failure: unknown) => failure,
  )
  assert.ok(error instanceof Fault, `expected the fault ${code}, got ${String(error)}`)
  assert.equal(error.code, code, error.message)
  assert.equal(error.kind.exitClass, exitClass)
  assert.match(error.message, /^Cannot /)
}
