import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { pattern } from '../contract/object-store.ts'
import { startFaultProxy } from '../support/fault-proxy.ts'
import type { WebDavServer } from '../support/servers/apache.ts'
import { rcloneMissing, startRclone } from '../support/servers/rclone.ts'
import { probeAddress, soundStore } from './store-probe.ts'
import { makeFolder, webDavContract } from './webdav-contract.ts'
import { openWebDavFromPlainData } from './webdav-opener.ts'

describe('rclone serve webdav', { skip: rcloneMissing }, () => {
  let rclone: WebDavServer
  before(async () => {
    rclone = await startRclone()
  })
  after(() => rclone[Symbol.asyncDispose]())
  webDavContract('rclone', () => rclone)

  test('an upload that a process did not end leaves a part of a file, which never gets a name', async () => {
    const { port, user, password, root } = rclone
    const folder = randomUUID()
    await makeFolder(rclone, `/${folder}`)
    await using proxy = await startFaultProxy(port)
    await using store = await openWebDavFromPlainData({ url: `${proxy.url}/${folder}`, user, password })
    await store.create('settled', pattern(1, 1))
    let cuts = 0
    const body = pattern(2_000_000, 3)
    proxy.setRule(({ method }) =>
      method === 'PUT' && cuts++ === 0 ? { kind: 'shorten-request', toBytes: 700_000 } : undefined,
    )
    assert.equal(await store.create('whole', body), 'created')
    assert.ok(cuts > 1)
    assert.equal(Buffer.compare(await store.read('whole'), body), 0)
    assert.deepEqual(await readdir(join(root, folder, '.holdfast', 'uploads')), [])
  })

  test('the probe tells how creators are kept apart', async () => {
    const { url, user, password, directory } = rclone
    const passwordFile = join(directory, 'password')
    await writeFile(passwordFile, password, { mode: 0o600 })
    const address = `${url.replace('http://', `webdav://${user}@`)}?${new URLSearchParams({ passwordFile }).toString()}`
    const { code, found, document } = await probeAddress(address)
    assert.deepEqual(found, { ...soundStore, exclusion: 'good', clock: 'fact' })
    assert.deepEqual([code, document.left], [0, []])
  })
})
