import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Fault } from '../../std/fault.ts'
import { parseStoreAddress } from './store-address.ts'

const keys = { passphraseFile: 'pass', privateKeyFile: undefined }

/** What an address means, without what is the same for all. */
function parsed(address: string): Record<string, unknown> {
  const repository: Record<string, unknown> = { ...parseStoreAddress(address, keys, '/here') }
  assert.equal(repository['passphraseFile'], '/here/pass')
  for (const name of ['name', 'passphraseFile', 'recipientFiles', 'profile', 'compressionLevel'])
    delete repository[name]
  return repository
}

test('an address means what the same keys mean in a configuration', () => {
  assert.deepEqual(parsed('/srv/backup'), { type: 'filesystem', path: '/srv/backup' })
  assert.deepEqual(parsed('backup'), { type: 'filesystem', path: '/here/backup' })
  assert.deepEqual(parsed('file:///srv/a%20b'), { type: 'filesystem', path: '/srv/a b' })
  assert.deepEqual(parsed('s3://bucket'), { type: 's3', bucket: 'bucket' })
  assert.deepEqual(
    parsed('s3://bucket/a/b/?endpoint=https://s3.example.org:8443&region=eu&pathStyle=true&caFile=ca.pem'),
    {
      type: 's3',
      bucket: 'bucket',
      prefix: 'a/b',
      endpoint: 'https://s3.example.org:8443',
      region: 'eu',
      pathStyle: true,
      caFile: '/here/ca.pem',
    },
  )
  assert.deepEqual(parsed('s3://bucket?asOf=2026-11-22T13:00:00Z')['asOf'], '2026-11-22T13:00:00Z')
  const cloud = {
    type: 'webdav',
    url: 'https://cloud.example.org/dav/files/me%40x/h',
    user: 'me@x',
    passwordFile: '/p',
  }
  assert.deepEqual(parsed('webdavs://me%40x@cloud.example.org/dav/files/me%40x/h?passwordFile=/p'), cloud)
  assert.deepEqual(parsed('https://me%40x@cloud.example.org/dav/files/me%40x/h?passwordFile=/p'), cloud)
})

test('what cannot be used is refused with its reason, and no secret is repeated', () => {
  const refused = (address: string, reason: RegExp, given = keys): void => {
    assert.throws(
      () => parseStoreAddress(address, { ...given }, '/here'),
      (error) => {
        assert.ok(error instanceof Fault)
        assert.equal(error.code, 'cli-usage')
        assert.match(error.message, reason)
        assert.doesNotMatch(JSON.stringify(error), /geheim/)
        return true
      },
    )
  }
  refused('s3://key:geheim@bucket/p', /secret does not belong/)
  refused('webdavs://me:geheim@host/p?passwordFile=/p', /secret does not belong/)
  refused('s3://bucket?secretAccessKey=geheim', /secretAccessKey: there is no such setting/)
  refused('s3://bucket?endpoint=ftp://x', /endpoint/)
  refused('s3://bucket?asOf=yesterday', /asOf/)
  refused('ftp://host/p', /no kind of store/)
  refused('s3://b u/p', /no address/)
  refused('webdavs://me@host/p', /user: passwordFile beside it/)
})
