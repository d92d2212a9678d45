import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { describe, test } from 'node:test'
import { pattern } from '../contract/object-store.ts'
import { startFaultProxy, type SeenRequest } from '../support/fault-proxy.ts'
import type { ApacheServer } from '../support/servers/apache.ts'
import { makeFolder } from './webdav-contract.ts'
import { openWebDavFromPlainData } from './webdav-opener.ts'

const limitBytes = 1_000_000

/**
 * Nextcloud cannot be run here. Its chunked upload is stood in for by a front before Apache that keeps Nextcloud's documented
 * rules (version 2: a folder with a destination, numbered pieces, a MOVE of `.file` with the total length) and lets no larger
 * body pass, as many proxies do.
 */
export function nextcloudUpload(apache: () => ApacheServer): void {
  describe('chunked upload of Nextcloud', () => {
    test('what is larger than the proxies let pass is sent in pieces, and joined once', async () => {
      const { user, password, url } = apache()
      for (const folder of ['/remote.php', '/remote.php/dav', '/remote.php/dav/files', '/remote.php/dav/files/alice']) {
        await makeFolder(apache(), folder)
      }
      const folder = `/remote.php/dav/files/alice/${randomUUID()}`
      await makeFolder(apache(), folder)
      await using proxy = await startFaultProxy(apache().port)
      const uploads = new Map<string, Map<string, Buffer>>()
      let locked = 1
      const handle = async (seen: SeenRequest, body: Buffer): Promise<{ status: number }> => {
        const [, id = '', name = ''] = /\/uploads\/alice\/([^/]+)(?:\/(.*))?$/.exec(seen.path) ?? []
        const destination = String(seen.headers.destination ?? '')
        if (seen.method === 'DELETE') return { status: uploads.delete(id) ? 204 : 404 }
        if (!destination.startsWith(`${proxy.url}${folder}/`)) return { status: 412 }
        if (seen.method === 'MKCOL') {
          uploads.set(id, new Map())
          return { status: 201 }
        }
        const pieces = uploads.get(id)
        if (pieces === undefined) return { status: 404 }
        if (seen.method === 'PUT') {
          if (!/^\d{5}$/.test(name)) return { status: 400 }
          pieces.set(name, body)
          return { status: 201 }
        }
        if (seen.method !== 'MOVE' || name !== '.file') return { status: 405 }
        if (locked-- > 0) return { status: 423 }
        const whole = Buffer.concat([...pieces.keys()].toSorted().map((key) => pieces.get(key) ?? Buffer.alloc(0)))
        if (String(whole.length) !== seen.headers['oc-total-length']) return { status: 400 }
        uploads.delete(id)
        const authorization = String(seen.headers.authorization)
        const target = destination.replace(proxy.url, url)
        const { status } = await fetch(target, {
          method: 'PUT',
          headers: { authorization },
          body: new Uint8Array(whole),
        })
        return { status }
      }
      proxy.setRule((seen) => {
        if (Number(seen.headers['content-length'] ?? 0) > limitBytes) return { kind: 'answer', status: 413 }
        return seen.path.includes('/dav/uploads/') ? { kind: 'handle', handle } : undefined
      })
      const options = { url: `${proxy.url}${folder}`, user, password, chunkBytes: limitBytes, patienceMs: 5000 }
      await using store = await openWebDavFromPlainData(options)
      const body = pattern(3_500_000, 9)
      assert.equal(await store.create('packs/large', body), 'created')
      assert.equal(await store.create('packs/large', body), 'exists')
      assert.equal(Buffer.compare(await store.read('packs/large'), body), 0)
      assert.equal(await store.create('packs/small', pattern(1000, 1)), 'created')
      assert.equal(uploads.size, 0)
    })
  })
}
