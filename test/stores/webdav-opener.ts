import { readFile } from 'node:fs/promises'
import { systemClock } from '../../src/std/clock.ts'
import { Secret } from '../../src/std/secret.ts'
import type { ObjectStore } from '../../src/store/object-store.ts'
import { openWebDavStore } from '../../src/store/webdav/webdav-store.ts'

/** What a child process of the contract suite is told, as plain data. */
export interface PlainWebDavOptions {
  readonly url: string
  readonly user: string
  readonly password: string
  readonly caFile?: string
  readonly conditionalCreate?: 'required' | 'emulated'
  readonly patienceMs?: number
  readonly idleTimeoutMs?: number
  readonly chunkBytes?: number
}

export async function openWebDavFromPlainData(options: PlainWebDavOptions): Promise<ObjectStore> {
  const { password, caFile, ...plain } = options
  return await openWebDavStore({
    ...plain,
    password: async () => new Secret(password),
    certificateAuthority: caFile === undefined ? undefined : await readFile(caFile, 'utf8'),
    clock: systemClock,
  })
}
