import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openFromPlainData } from './file-system-store-opener.ts'
import { objectStoreContract } from './object-store.ts'

objectStoreContract('file system', async () => {
  const root = await mkdtemp(join(tmpdir(), 'holdfast-store-'))
  const store = await openFromPlainData({ root })
  const moduleUrl = new URL('./file-system-store-opener.ts', import.meta.url).href
  return {
    store,
    opener: { moduleUrl, exportName: openFromPlainData.name, options: { root } },
    [Symbol.asyncDispose]: async () => {
      await store[Symbol.asyncDispose]()
      await rm(root, { recursive: true, force: true })
    },
  }
})
