import { Fault, isFault } from '../std/fault.ts'
import { storeFaults } from '../store/faults.ts'
import type { ObjectStore, StoreOptions } from '../store/object-store.ts'
import { objectFault } from './damage.ts'
import { repositoryFaults } from './faults.ts'

/** Reads an object that must be there; throws `repository-object-missing`. */
export async function readStored(store: ObjectStore, key: string, options: StoreOptions = {}): Promise<Uint8Array> {
  const bytes = await readIfStored(store, key, options)
  if (bytes === undefined) throw objectFault(key, 'missing', `it is not in ${store.description}`)
  return bytes
}

/** Reads an object, or gives undefined when there is none. */
export async function readIfStored(
  store: ObjectStore,
  key: string,
  options: StoreOptions = {},
): Promise<Uint8Array | undefined> {
  try {
    return await store.read(key, options)
  } catch (error) {
    if (isFault(error, storeFaults['store-object-missing'])) return undefined
    throw error
  }
}

/**
 * Stores an object that nobody else can be storing. That it exists is fine when it has the same bytes: then an earlier
 * attempt came through without our hearing of it. Throws `repository-object-conflict` otherwise.
 */
export async function storeOnce(
  store: ObjectStore,
  key: string,
  bytes: Uint8Array,
  options: StoreOptions = {},
): Promise<void> {
  if ((await store.create(key, bytes, options)) === 'created') return
  const present = await readStored(store, key, options)
  if (Buffer.compare(present, bytes) === 0) return
  throw new Fault(
    repositoryFaults['repository-object-conflict'],
    `Cannot store object ${key}: ${store.description} already has another one under this name`,
    { details: { object: key } },
  )
}
