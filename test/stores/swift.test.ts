import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { CreateBucketCommand, S3Client } from '@aws-sdk/client-s3'
import { objectStoreContract, pattern } from '../contract/object-store.ts'
import { createTestDirectory } from '../support/postgres.ts'
import { startSwift, swiftMissing, type SwiftServer } from '../support/servers/swift.ts'
import { probeAddress, soundStore } from './store-probe.ts'
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

  test('the probe tells that it will do as a copy only', async () => {
    await using directory = await createTestDirectory()
    const credentialsFile = join(directory.path, 'credentials')
    const { accessKeyId, secretAccessKey } = swift.keys
    const lines = ['[default]', `aws_access_key_id=${accessKeyId}`, `aws_secret_access_key=${secretAccessKey}`]
    await writeFile(credentialsFile, lines.join('\n'), { mode: 0o600 })
    const query = new URLSearchParams({ endpoint: swift.endpoint, credentialsFile })
    const { code, found, document } = await probeAddress(`s3://${bucket}/probe?${query.toString()}`)
    const copyOnly = { 'conditional create': 'weak', 'race of creators': 'weak' }
    const others = { checksums: 'good', 'object lock': 'fact', clock: 'fact' }
    assert.deepEqual(found, { ...soundStore, ...others, ...copyOnly })
    assert.deepEqual([code, document.left], [3, []])
  })
})
