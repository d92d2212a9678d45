import { randomUUID } from 'node:crypto'
import { objectStoreContract, type StoreUnderTest } from '../contract/object-store.ts'
import type { WebDavServer } from '../support/servers/apache.ts'
import { openWebDavFromPlainData, type PlainWebDavOptions } from './webdav-opener.ts'

/** The contract of every store, on a WebDAV server. */
export function webDavContract(name: string, server: () => WebDavServer): void {
  const make = async (): Promise<StoreUnderTest> => {
    const { url, user, password } = server()
    const folder = randomUUID()
    await makeFolder(server(), `/${folder}`)
    const options: PlainWebDavOptions = { url: `${url}/${folder}`, user, password }
    const store = await openWebDavFromPlainData(options)
    const moduleUrl = new URL('./webdav-opener.ts', import.meta.url).href
    return {
      store,
      opener: { moduleUrl, exportName: openWebDavFromPlainData.name, options: { ...options } },
      [Symbol.asyncDispose]: () => store[Symbol.asyncDispose](),
    }
  }
  objectStoreContract(`WebDAV (${name})`, make, { rounds: 4 })
}

/** Over the protocol, since a server may not notice at once what is done to its disk. */
export async function makeFolder({ url, user, password }: WebDavServer, path: string): Promise<void> {
  const authorization = `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`
  const { status } = await fetch(`${url}${path}`, { method: 'MKCOL', headers: { authorization } })
  if (status !== 201) throw new Error(`MKCOL ${path} answered ${status}`)
}
