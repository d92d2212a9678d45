import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import {
  CreateBucketCommand,
  DeleteObjectCommand,
  GetObjectRetentionCommand,
  ListObjectVersionsCommand,
  PutObjectCommand,
  type S3Client,
} from '@aws-sdk/client-s3'
import { systemClock } from '../../src/std/clock.ts'
import { Secret } from '../../src/std/secret.ts'
import { openS3PastStore } from '../../src/store/s3/s3-past-store.ts'
import { pattern } from '../contract/object-store.ts'
import type { CephGateway } from '../support/servers/ceph.ts'
import { assertFault } from './s3-faults.ts'
import { openS3FromPlainData, type PlainS3Options } from './s3-opener.ts'

const bucket = 'locked'
const dayMs = 86_400_000

/** Objects that nobody may remove, and what an attacker with our keys can and cannot do to them. */
export function s3Lock(ceph: () => CephGateway, client: () => S3Client): void {
  describe('object lock', () => {
    const options = (over: Partial<PlainS3Options> = {}): PlainS3Options => ({
      endpoint: ceph().endpoint,
      keys: ceph().keys,
      bucket,
      prefix: 'repository',
      lock: { mode: 'compliance', days: 2 },
      // Ceph 16 knows conditions, but not in a bucket with versions; Amazon's S3 knows them everywhere.
      conditionalCreate: 'emulated',
      ...over,
    })
    const retention = async (key: string): Promise<number> => {
      const answer = await client().send(new GetObjectRetentionCommand({ Bucket: bucket, Key: `repository/${key}` }))
      return answer.Retention?.RetainUntilDate?.getTime() ?? 0
    }

    test('what is created is locked for so many days, a lock is extended and never shortened', async () => {
      await client().send(new CreateBucketCommand({ Bucket: bucket, ObjectLockEnabledForBucket: true }))
      {
        await using strict = await openS3FromPlainData(options({ conditionalCreate: 'required' }))
        await assertFault(strict.create('kept', pattern(1, 1)), 'store-unconditional', 'refused')
      }
      await using store = await openS3FromPlainData(options())
      const created = Date.now()
      assert.equal(await store.create('kept', pattern(1000, 1)), 'created')
      assert.equal(await store.create('kept', pattern(1000, 2)), 'exists')
      const until = await retention('kept')
      assert.ok(Math.abs(until - created - 2 * dayMs) < 60_000)
      await using longer = await openS3FromPlainData(options({ lock: { mode: 'compliance', days: 5 } }))
      await longer.renewLock?.('kept')
      const extended = await retention('kept')
      assert.ok(Math.abs(extended - created - 5 * dayMs) < 60_000)
      await store.renewLock?.('kept')
      assert.equal(await retention('kept'), extended)
      await assertFault(longer.renewLock?.('absent') ?? Promise.resolve(), 'store-object-missing', 'notFound')
      const { lock: _, ...unlocked } = options()
      await using plain = await openS3FromPlainData(unlocked)
      assert.equal('renewLock' in plain, false)
    })

    test('whoever has the keys can hide and replace objects but not remove them: the past is still there', async () => {
      await using store = await openS3FromPlainData(options())
      await store.create('a', pattern(500, 1))
      await store.create('b', pattern(500, 2))
      await store.create('dir/c', pattern(0, 3))
      // Times in a listing have a resolution of a second.
      const nextSecond = async (): Promise<number> => {
        const now = Math.ceil(Date.now() / 1000) * 1000
        await systemClock.sleep(now + 1000 - Date.now())
        return now
      }
      const before = await nextSecond()
      await client().send(new PutObjectCommand({ Bucket: bucket, Key: 'repository/a', Body: 'ransom' }))
      await store.delete('b')
      await store.delete('dir/c')
      assert.equal(await store.size('b'), undefined)
      const versions = await client().send(new ListObjectVersionsCommand({ Bucket: bucket, Prefix: 'repository/b' }))
      const [version] = versions.Versions ?? []
      assert.ok(version?.VersionId)
      const remove = new DeleteObjectCommand({ Bucket: bucket, Key: 'repository/b', VersionId: version.VersionId })
      await assert.rejects(client().send(remove), { name: 'AccessDenied' })
      await using past = await openS3PastStore({
        ...options(),
        asOf: before,
        credentials: async () => new Secret(ceph().keys),
        clock: systemClock,
      })
      assert.equal(Buffer.compare(await past.read('a'), pattern(500, 1)), 0)
      assert.equal(Buffer.compare(await past.readRange('b', 10, 20), pattern(500, 2).subarray(10, 30)), 0)
      assert.equal(await past.size('dir/c'), 0)
      const found = await Array.fromAsync(past.list(''))
      assert.deepEqual(
        found.map(({ key, sizeBytes }) => `${key} ${sizeBytes}`),
        ['a 500', 'b 500', 'dir/c 0', 'kept 1000'],
      )
      await assertFault(past.read('never'), 'store-object-missing', 'notFound')
      await assertFault(past.create('new', pattern(1, 1)), 'store-access-denied', 'failed')
      await assertFault(past.delete('a'), 'store-access-denied', 'failed')
    })

    test('a bucket without object lock is refused when a lock is asked for', async () => {
      await client().send(new CreateBucketCommand({ Bucket: 'unlocked' }))
      await using store = await openS3FromPlainData(options({ bucket: 'unlocked' }))
      await assertFault(store.create('kept', pattern(10, 1)), 'store-lock-unsupported', 'usage')
    })
  })
}
