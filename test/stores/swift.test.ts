import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { after, before, describe, test } from 'node:test'
import { CreateBucketCommand, S3Client } from '@aws-sdk/client-s3'
import { objectStoreContract, pattern } from '../contract/object-store.ts'
import { startSwift, swiftMissing, type SwiftServer } from '../support/servers/swift.ts'
import { openS3FromPlainData, type PlainS3Options } from './s3-opener.ts'
import { assertFault } from './s3-faults.ts'

const bucket = 'contract'

describe('OpenStack Swift', { skip: swiftMissing }, () => {
  let swift: SwiftServer
  before(async () => {
    swift = await startSwift()
    const { endpoint, keys: credentials } = swift
    const client = new S3Client({ endpoint, region: 'us-east-1', forcePathStyle: true, credentials })
    await client.send(new CreateBucketCommand({ Bucket: bucket }))
    client.destroy()
  })
  after(() => swift[Symbol.asyncDispose]())

  const options = (over: Partial<PlainS3Options> = {}): PlainS3Options => {
    const { endpoint, keys } = swift
    return { endpoint, keys, bucket, prefix: randomUUID(), conditionalCreate: 'emulated', ...over }
  }

  test('is refused where several may write, before anything is written', async () => {
    await using store = await openS3FromPlainData(options({ conditionalCreate: 'required' }))
    await assertFault(store.create('first', pattern(10, 1)), 'store-unconditional', 'refused')
    assert.deepEqual(await Array.fromAsync(store.list('')), [])
  })

  objectStoreContract(
    'S3 without conditions (Swift)',
    async () => {
      const plain = options()
      const store = await openS3FromPlainData(plain)
      const moduleUrl = new URL('./s3-opener.ts', import.meta.url).href
      return {
        store,
        opener: { moduleUrl, exportName: openS3FromPlainData.name, options: { ...plain } },
        [Symbol.asyncDispose]: () => store[Symbol.asyncDispose](),
      }
    },
    { decides: false, rounds: 3 },
  )
})
