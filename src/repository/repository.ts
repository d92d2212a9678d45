import { createSecretKey, randomBytes, randomUUID } from 'node:crypto'
import type { Clock } from '../std/clock.ts'
import { Fault } from '../std/fault.ts'
import type { ObjectStore, StoreOptions } from '../store/object-store.ts'
import { decodeCheckedJson, encodeCheckedJson, formatVersion } from './checked-json.ts'
import { fieldsOf } from './core/json-fields.ts'
import {
  guideObject,
  isClusterName,
  keyObject,
  keysPrefix,
  repositoryObject,
  restoreProgramObject,
} from './core/object-names.ts'
import { objectFault } from './damage.ts'
import { repositoryFaults } from './faults.ts'
import type { Keyring } from './keyring.ts'
import { openedKeys, readKeyObjects } from './key-objects.ts'
import { wrapKey, type KeyAccess, type KeyRecipients, type WrappedKey } from './openpgp-keys.ts'
import { restoreGuide } from './restore-kit/restore-guide.ts'
import { readRestoreProgram } from './restore-kit/restore-program.ts'
import { readIfStored, readStored, storeOnce } from './stored-objects.ts'

const suiteName = 'AES-256-GCM, HKDF-SHA-256, zstd'

/** An opened repository: where it is and what opens its objects. The store remains the caller's to close. */
export interface Repository {
  readonly id: string
  readonly createdAt: string
  readonly store: ObjectStore
  readonly keyring: Keyring
  /** zstd's level for what is stored from now on; undefined: the default one. */
  readonly compressionLevel?: number | undefined
}

/** A repository that need not be open: what is known of it without a key. */
export type RepositoryPlace = Pick<Repository, 'id' | 'store'>

/**
 * Makes a repository in a store. `repository.json` comes last, so a crash leaves no repository, and making it again
 * works. Throws `repository-exists`, also to the slower of two racing creators, and `repository-place-occupied`.
 */
export async function createRepository(
  store: ObjectStore,
  options: KeyRecipients & StoreOptions & { readonly clock: Pick<Clock, 'wall'> },
): Promise<Repository> {
  if (options.passphrase === undefined && (options.recipients ?? []).length === 0) throw unprotected('create')
  if ((await store.size(repositoryObject, options)) !== undefined) throw exists(store)
  await requireVacant(store, options)
  const id = randomUUID()
  const createdAt = new Date(options.clock.wall()).toISOString()
  const key: WrappedKey = {
    id: randomBytes(16).toString('hex'),
    key: createSecretKey(randomBytes(32)),
    repositoryId: id,
    createdAt,
  }
  await store.create(guideObject, Buffer.from(restoreGuide()), options)
  await store.create(restoreProgramObject, await readRestoreProgram(), options)
  await storeOnce(store, keyObject(key.id), await wrapKey(key, options), options)
  const description = encodeCheckedJson({ format: formatVersion, repositoryId: id, createdAt, suite: suiteName })
  if ((await store.create(repositoryObject, description, options)) === 'exists') {
    // Another attempt of this same call cannot have written it: the id is new. So somebody else was faster.
    const present = await readStored(store, repositoryObject, options)
    if (Buffer.compare(present, description) !== 0) {
      await store.delete(keyObject(key.id), options)
      throw exists(store)
    }
  }
  return { id, createdAt, store, keyring: { repositoryId: id, current: key, keys: [key] } }
}

/**
 * Opens a repository. Every object below `keys/` is tried, so that keys and recipients can be added by adding objects.
 * Throws `repository-not-found`, `repository-place-occupied`, `repository-wrong-key`, or `repository-object-damaged`.
 */
export async function openRepository(
  store: ObjectStore,
  options: KeyAccess & StoreOptions & Pick<Repository, 'compressionLevel'>,
): Promise<Repository> {
  if (options.passphrase === undefined && options.privateKey === undefined) throw unprotected('open')
  const { id, createdAt } = await identifyRepository(store, options)
  const keys = await openKeys(store, id, options)
  const { compressionLevel } = options
  return { id, createdAt, store, keyring: { repositoryId: id, current: keys[0], keys }, compressionLevel }
}

/** What a repository says of itself, without a key. Throws like {@link openRepository}. */
export async function identifyRepository(
  store: ObjectStore,
  options: StoreOptions = {},
): Promise<RepositoryPlace & { readonly createdAt: string }> {
  const description = await readIfStored(store, repositoryObject, options)
  if (description === undefined) {
    await requireVacant(store, options)
    throw new Fault(
      repositoryFaults['repository-not-found'],
      `Cannot open the repository: none in ${store.description}`,
      {
        details: { store: store.description },
      },
    )
  }
  return { ...decodeDescription(description), store }
}

/** Which repository a store holds; undefined when it holds none. */
export async function readRepositoryId(store: ObjectStore, options: StoreOptions = {}): Promise<string | undefined> {
  const description = await readIfStored(store, repositoryObject, options)
  return description === undefined ? undefined : decodeDescription(description).id
}

function decodeDescription(bytes: Uint8Array): { readonly id: string; readonly createdAt: string } {
  return decodeCheckedJson(repositoryObject, bytes, (value) => {
    const fields = fieldsOf(value, 'repository')
    return { id: fields.text('repositoryId'), createdAt: fields.text('createdAt') }
  })
}

/** Throws `repository-name-invalid` unless objects of a cluster can be named with this. */
export function assertClusterName(name: string): void {
  if (isClusterName(name)) return
  throw new Fault(
    repositoryFaults['repository-name-invalid'],
    `Cannot use ${JSON.stringify(name)} as the name of a cluster in a repository`,
    { details: { cluster: name } },
  )
}

/** At least one key, each id once, the newest first. */
async function openKeys(
  store: ObjectStore,
  repositoryId: string,
  options: KeyAccess & StoreOptions,
): Promise<[WrappedKey, ...WrappedKey[]]> {
  const objects = await readKeyObjects(store, repositoryId, { ...options, enough: true })
  const [newest, ...others] = openedKeys(objects)
  if (newest !== undefined) return [newest, ...others]
  if (objects.length === 0) throw objectFault(keysPrefix, 'missing', `${store.description} has no key objects`)
  // One that is damaged may be the one that would have opened.
  for (const { object, state } of objects) {
    if (state.kind === 'damaged') throw objectFault(object, state.because.problem, state.because.message, state.because)
  }
  const tried = objects.map(({ object }) => object)
  throw new Fault(
    repositoryFaults['repository-wrong-key'],
    `Cannot open the repository in ${store.description}: the passphrase or private key does not open ${tried.join(', ')}`,
    { details: { store: store.description, keyObjects: tried } },
  )
}

/**
 * A place without `repository.json` that holds more than a creator that crashed leaves behind is a damaged repository, or
 * none of ours: a new repository there would shut the old one for good.
 */
export async function requireVacant(store: ObjectStore, options: StoreOptions): Promise<void> {
  for await (const { key } of store.list('', options)) {
    if (key === guideObject || key === restoreProgramObject || key.startsWith(keysPrefix)) continue
    // A racing creator may have come to its end since we looked, and its repository be in use.
    if ((await store.size(repositoryObject, options)) !== undefined) return
    throw new Fault(
      repositoryFaults['repository-place-occupied'],
      `Cannot use ${store.description} as a repository: it holds ${key}, but no ${repositoryObject}`,
      { details: { store: store.description, object: key } },
    )
  }
}

function unprotected(verb: 'create' | 'open'): Fault {
  return new Fault(
    repositoryFaults['repository-key-unprotected'],
    `Cannot ${verb} the repository: neither a passphrase nor an OpenPGP key was given`,
  )
}

function exists(store: ObjectStore): Fault {
  return new Fault(
    repositoryFaults['repository-exists'],
    `Cannot create the repository: ${store.description} has one`,
    {
      details: { store: store.description },
    },
  )
}
