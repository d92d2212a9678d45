import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import {
  CreateBucketCommand,
  ListObjectsV2Command,
  ListObjectVersionsCommand,
  PutBucketPolicyCommand,
  S3Client,
} from '@aws-sdk/client-s3'
import { cephMissing, keyWords, startCeph, type CephGateway, type S3Keys } from '../support/servers/ceph.ts'
import { objectStoreContract, type StoreUnderTest } from '../contract/object-store.ts'
import { repositoryInStore } from './repository-in-store.ts'
import { s3Faults } from './s3-faults.ts'
import { s3Lock } from './s3-lock.ts'
import { probeAddress, soundStore } from './store-probe.ts'
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

  const credentials = async (directory: string, keys: S3Keys): Promise<string> => {
    const file = join(directory, `s3-${keys.accessKeyId}`)
    const lines = [
      '[default]',
      `aws_access_key_id = ${keys.accessKeyId}`,
      `aws_secret_access_key = ${keys.secretAccessKey}`,
    ]
    await writeFile(file, `${lines.join('\n')}\n`, { mode: 0o600 })
    return file
  }

  repositoryInStore('S3 (Ceph)', async (directory) => {
    const { endpointTls: endpoint, caFile, keys } = ceph
    const credentialsFile = await credentials(directory, keys)
    const settings = { type: 's3', bucket: 'contract', prefix: 'e2e/main', endpoint, caFile, credentialsFile }
    const query = new URLSearchParams({ endpoint, caFile, credentialsFile })
    await client.send(new CreateBucketCommand({ Bucket: 'vault', ObjectLockEnabledForBucket: true }))
    const lock = { mode: 'governance', days: 1 }
    const copy = { type: 's3', bucket: 'vault', endpoint, caFile, credentialsFile, lock }
    return { settings, address: `s3://contract/e2e/main?${query.toString()}`, copy }
  })

  test('the probe tells what this store can do, with and without object lock, and leaves nothing', async () => {
    const { endpoint, keys, directory } = ceph
    const query = new URLSearchParams({ endpoint, credentialsFile: await credentials(directory, keys) })
    await client.send(new CreateBucketCommand({ Bucket: 'probe' }))
    const plain = await probeAddress(`s3://probe/here?${query.toString()}`)
    const honest = { ...soundStore, 'conditional create': 'good', checksums: 'good', clock: 'fact' }
    assert.deepEqual(plain.found, { ...honest, 'object lock': 'fact' })
    assert.equal(plain.code, 0)
    await client.send(new CreateBucketCommand({ Bucket: 'probe-locked', ObjectLockEnabledForBucket: true }))
    const locked = await probeAddress(`s3://probe-locked/here?${query.toString()}`)
    const undecided = { 'conditional create': 'weak', 'race of creators': 'weak' }
    assert.deepEqual(locked.found, { ...honest, ...undecided, 'object lock': 'good' })
    assert.equal(locked.code, 3)
    for (const Bucket of ['probe', 'probe-locked']) {
      const { Versions, DeleteMarkers } = await client.send(new ListObjectVersionsCommand({ Bucket }))
      assert.deepEqual([Versions ?? [], DeleteMarkers ?? []], [[], []])
    }
    assert.deepEqual([plain.document.left, locked.document.left], [[], []])
  })

  test('the probe tells that these credentials may not delete, and names what it leaves', async () => {
    const writer = { accessKeyId: 'WRITEONLY00000000001', secretAccessKey: 'writeonlysecret000000000000000000000001' }
    await ceph.admin('user', 'create', '--uid=writer', '--display-name=Writer', ...keyWords(writer))
    await client.send(new CreateBucketCommand({ Bucket: 'probe-kept' }))
    const statement = {
      Effect: 'Allow',
      Principal: { AWS: ['arn:aws:iam:::user/writer'] },
      Action: ['s3:GetObject', 's3:PutObject', 's3:ListBucket', 's3:ListBucketVersions', 's3:GetBucketVersioning'],
      Resource: ['arn:aws:s3:::probe-kept', 'arn:aws:s3:::probe-kept/*'],
    }
    const policy = JSON.stringify({ Version: '2012-10-17', Statement: [statement] })
    await client.send(new PutBucketPolicyCommand({ Bucket: 'probe-kept', Policy: policy }))
    const query = new URLSearchParams({
      endpoint: ceph.endpoint,
      credentialsFile: await credentials(ceph.directory, writer),
    })
    const { code, found, document } = await probeAddress(`s3://probe-kept?${query.toString()}`)
    assert.equal(found['delete'], 'weak')
    assert.equal(code, 3)
    assert.ok(document.left.some((key) => key.endsWith('/delete')))
    const { Contents = [] } = await client.send(new ListObjectsV2Command({ Bucket: 'probe-kept' }))
    assert.deepEqual(Contents.map(({ Key = '' }) => Key).toSorted(), [...document.left].toSorted())
  })
})
