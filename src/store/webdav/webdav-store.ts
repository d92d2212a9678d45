import { Fault } from '../../std/fault.ts'
import { storeFaults } from '../faults.ts'
import { assertObjectKey, isKeyPart } from '../object-key.ts'
import type { ObjectStore, StoreOptions, StoredObject } from '../object-store.ts'
import { RequestFailure } from '../request-fault.ts'
import { connectWebDav, refuse, type DavAnswer, type Send, type WebDavConnection } from './webdav-connection.ts'
import { WebDavCreator } from './webdav-creator.ts'
import { propfind, type DavEntry } from './webdav-listing.ts'
import type { WebDavStoreOptions } from './webdav-options.ts'

/**
 * A store in a folder of a WebDAV server: Nextcloud, Apache and others. Objects are files below it; how they come to be
 * created whole and once is {@link WebDavCreator}'s. The folder itself must exist.
 */
export async function openWebDavStore(options: WebDavStoreOptions): Promise<ObjectStore> {
  const connection = connectWebDav(options)
  try {
    const { signal } = options
    await connection.call('look up anything', signal, (send) => requireFolder(send, connection, signal))
  } catch (error) {
    connection[Symbol.dispose]()
    throw error
  }
  const creator = new WebDavCreator(connection, options)
  return {
    description: connection.description,
    create: async (key, body, { signal } = {}) => {
      assertObjectKey(key)
      return await creator.create(key, body, signal)
    },
    read: async (key, { signal } = {}) => await get(connection, key, undefined, signal),
    readRange: async (key, offset, length, { signal } = {}) => {
      if (length > 0) return await get(connection, key, { offset, length }, signal)
      if ((await lookUp(connection, key, signal)) === undefined) throw missing(connection, key)
      return new Uint8Array(0)
    },
    size: async (key, { signal } = {}) => (await lookUp(connection, key, signal))?.sizeBytes,
    list: (prefix, { signal }: StoreOptions = {}) => listFiles(connection, prefix, signal),
    delete: async (key, { signal } = {}) => await remove(connection, key, signal),
    [Symbol.asyncDispose]: async () => connection[Symbol.dispose](),
  }
}

/** Fails as clearly as possible when the folder cannot be used. */
async function requireFolder(send: Send, connection: WebDavConnection, signal: AbortSignal | undefined): Promise<void> {
  const found = await propfind(send, connection, '', { depth: 0, signal })
  if (found?.entries[0]?.folder === true) return
  const reason = found === undefined ? 'there is no such folder' : 'it is no folder'
  throw new RequestFailure({ kind: 'place-missing', reason, passing: false, uncertain: false }, undefined)
}

/** Something that is not there is not there only if the folder of the store is. */
async function lookUp(
  connection: WebDavConnection,
  key: string,
  signal: AbortSignal | undefined,
): Promise<DavEntry | undefined> {
  assertObjectKey(key)
  return await connection.call(`look up object ${key}`, signal, async (send) => {
    const found = await propfind(send, connection, `/${key}`, { depth: 0, signal })
    if (found === undefined) await requireFolder(send, connection, signal)
    const entry = found?.entries[0]
    return entry === undefined || entry.folder ? undefined : entry
  })
}

async function get(
  connection: WebDavConnection,
  key: string,
  range: { readonly offset: number; readonly length: number } | undefined,
  signal: AbortSignal | undefined,
): Promise<Uint8Array> {
  assertObjectKey(key)
  return await connection.call(`read object ${key}`, signal, async (send) => {
    const headers = range === undefined ? {} : { range: `bytes=${range.offset}-${range.offset + range.length - 1}` }
    const answer = await send({ method: 'GET', path: `${connection.base}/${key}`, headers, signal })
    if (answer.status === 206 && range !== undefined) return answer.body
    // A server that knows no ranges sends everything.
    if (answer.status === 200) {
      return range === undefined ? answer.body : answer.body.subarray(range.offset, range.offset + range.length)
    }
    if (answer.status === 416 && range !== undefined) return new Uint8Array(0)
    if (!isNoFile(answer)) throw refuse(answer, Date.now())
    await requireFolder(send, connection, signal)
    throw missing(connection, key)
  })
}

/** Nothing there, or a folder, which servers tell in different ways. */
function isNoFile({ status }: DavAnswer): boolean {
  return status === 404 || status === 405 || status === 301 || status === 302
}

function missing(connection: WebDavConnection, key: string): Fault {
  const message = `Cannot read object ${key}: it does not exist in ${connection.description}`
  return new Fault(storeFaults['store-object-missing'], message, { details: { key } })
}

async function remove(connection: WebDavConnection, key: string, signal: AbortSignal | undefined): Promise<void> {
  // DELETE on a folder would remove everything in it.
  if ((await lookUp(connection, key, signal)) === undefined) return
  await connection.call(`delete object ${key}`, signal, async (send) => {
    const answer = await send({ method: 'DELETE', path: `${connection.base}/${key}`, signal })
    if (answer.status >= 300 && answer.status !== 404) throw refuse(answer, Date.now())
  })
}

async function* listFiles(
  connection: WebDavConnection,
  prefix: string,
  signal: AbortSignal | undefined,
): AsyncIterable<StoredObject> {
  const parts = prefix.split('/')
  if (parts.some((part) => part.startsWith('.'))) return
  yield* walk(connection, { folder: parts.slice(0, -1).join('/'), prefix, signal })
}

interface Walk {
  /** Relative to the store, without slashes at its ends. */
  readonly folder: string
  readonly prefix: string
  readonly signal: AbortSignal | undefined
}

/** One folder in memory at a time. A folder sorts as its name with a slash, so that keys come in byte order. */
async function* walk(connection: WebDavConnection, { folder, prefix, signal }: Walk): AsyncIterable<StoredObject> {
  signal?.throwIfAborted()
  const path = folder === '' ? '' : `/${folder}`
  const entries = await connection.call(`list ${folder === '' ? 'objects' : folder}`, signal, async (send) => {
    const found = await propfind(send, connection, path, { depth: 1, signal })
    if (found === undefined) await requireFolder(send, connection, signal)
    return found?.entries ?? []
  })
  const sortKey = ({ name, folder: isFolder }: DavEntry): string => (isFolder ? `${name}/` : name)
  const named = entries.filter(({ name }) => isKeyPart(name))
  for (const entry of named.sort((a, b) => (sortKey(a) < sortKey(b) ? -1 : 1))) {
    const key = folder === '' ? entry.name : `${folder}/${entry.name}`
    if (entry.folder) {
      const below = `${key}/`
      if (below.startsWith(prefix) || prefix.startsWith(below)) yield* walk(connection, { folder: key, prefix, signal })
    } else if (key.startsWith(prefix)) {
      yield { key, sizeBytes: entry.sizeBytes }
    }
  }
}
