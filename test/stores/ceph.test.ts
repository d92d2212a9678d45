import { randomUUID } from 'node:crypto'
import { after, before, describe } from 'node:test'
import { CreateBucketCommand, S3Client } from '@aws-sdk/client-s3'
import { cephMissing, startCeph, type CephGateway } from '../support/servers/ceph.ts'
import { objectStoreContract, type StoreUnderTest } from '../contract/object-store.ts'
import { s3Faults } from './s3-faults.ts'
import { s3Lock } from './s3-lock.ts'
import { openS3FromPlainData, type PlainS3Options } from './s3-opener.ts'

describe('Ceph RADOS Gateway', { skip: cephMissing }, () => {
  let ceph: CephGateway
  /** The tests' own, for what only an operator of the bucket does. */
  let client: S3Client
  before(async () => {
    ceph = await startCeph()
    client = new S3Client({
      endpoint: ceph.endpoint,
      region: 'us-east-1',
      forcePathStyle: true,
      credentials: ceph.keys,
      requestChecksumCalculation: 'WHEN_REQUIRED',
    })
    await client.send(new CreateBucketCommand({ Bucket: 'contract' }))
  })
  after(async () => {
    client.destroy()
    await ceph[Symbol.asyncDispose]()
  })

  const make = async (): Promise<StoreUnderTest> => {
    const { endpoint, keys } = ceph
    const options: PlainS3Options = { endpoint, keys, bucket: 'contract', prefix: `run/${randomUUID()}` }
    const store = await openS3FromPlainData(options)
    const moduleUrl = new URL('./s3-opener.ts', import.meta.url).href
    return {
      store,
      opener: { moduleUrl, exportName: openS3FromPlainData.name, options: { ...options } },
      [Symbol.asyncDispose]: () => store[Symbol.asyncDispose](),
    }
  }
  objectStoreContract('S3 (Ceph)', make, { rounds: 4 })

  s3Faults(
    () => ceph,
    () => client,
  )
  s3Lock(
    () => ceph,
    () => client,
  )
})
