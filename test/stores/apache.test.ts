import assert from 'node:assert/strict'
import { readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { apacheMissing, startApache, type ApacheServer } from '../support/servers/apache.ts'
import { nextcloudUpload } from './nextcloud-upload.ts'
import { repositoryInStore } from './repository-in-store.ts'
import { probeAddress, soundStore } from './store-probe.ts'
import { makeFolder, webDavContract } from './webdav-contract.ts'
import { webDavFaults } from './webdav-faults.ts'

describe('Apache mod_dav', { skip: apacheMissing }, () => {
  let apache: ApacheServer
  before(async () => {
    apache = await startApache()
  })
  after(() => apache[Symbol.asyncDispose]())
  webDavContract('Apache', () => apache)
  webDavFaults(() => apache)
  nextcloudUpload(() => apache)

  const passwordFile = async (directory: string): Promise<string> => {
    const file = join(directory, 'webdav.password')
    await writeFile(file, apache.password, { mode: 0o600 })
    return file
  }

  repositoryInStore('WebDAV (Apache)', async (directory) => {
    await makeFolder(apache, '/e2e')
    const { urlTls, user, caFile } = apache
    const files = { passwordFile: await passwordFile(directory), caFile }
    const settings = { type: 'webdav', url: `${urlTls}/e2e`, user, ...files }
    const address = `${urlTls.replace('https://', `webdavs://${user}@`)}/e2e?${new URLSearchParams(files).toString()}`
    return { settings, address }
  })

  test('the probe tells what this store can do, and leaves nothing', async () => {
    await makeFolder(apache, '/probe')
    const { url, user, root, directory } = apache
    const query = new URLSearchParams({ passwordFile: await passwordFile(directory) })
    const address = `${url.replace('http://', `webdav://${user}@`)}/probe?${query.toString()}`
    const { code, found, document } = await probeAddress(address)
    assert.deepEqual(found, { ...soundStore, exclusion: 'good', clock: 'fact' })
    assert.deepEqual([code, document.left], [0, []])
    assert.deepEqual(await readdir(join(root, 'probe')), [])
  })
})
