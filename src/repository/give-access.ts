import { Fault } from '../std/fault.ts'
import type { ObjectStore, StoreOptions } from '../store/object-store.ts'
import { isWayName, keyObjectOf } from './core/key-names.ts'
import { objectFault } from './damage.ts'
import { repositoryFaults } from './faults.ts'
import { knownDataKeys, openedKeys, readKeyObjects, type KeyObject } from './key-objects.ts'
import {
  openKeyMessage,
  recipientKeyIds,
  wrapKey,
  type KeyAccess,
  type KeyRecipients,
  type WrappedKey,
} from './openpgp-keys.ts'
import type { RepositoryPlace } from './repository.ts'
import { readStored } from './stored-objects.ts'

export interface GivenAccess {
  readonly way: string
  readonly objects: readonly string[]
  /** Those of them that were there before: an earlier attempt had come so far. */
  readonly already: readonly string[]
}

/**
 * Adds a way in: every data key of the repository, wrapped for a passphrase or for recipients. Nothing is rewritten, and
 * the ways that there are stay. Each object is read back, and opened with the new passphrase, before this resolves. A crash
 * leaves some of the objects; doing it again adds the rest. Throws `repository-key-missing` when `access` does not open
 * every data key, and `repository-key-name-taken`.
 */
export async function giveAccess(
  repository: RepositoryPlace,
  request: { readonly way: string; readonly access: KeyAccess; readonly to: KeyRecipients },
  options: StoreOptions = {},
): Promise<GivenAccess> {
  const { way, to } = request
  assertWayName(way)
  const present = await readKeyObjects(repository.store, repository.id, { ...request.access, ...options })
  const keys = requireAllOpened(repository, present)
  const wanted = new Set(keys.map(({ id }) => keyObjectOf(id, way)))
  const stranger = present.find((object) => object.way === way && !wanted.has(object.object))
  if (stranger !== undefined) throw taken(way, stranger.object)
  const already: string[] = []
  for (const key of keys) {
    const created = await storeWrapped(repository.store, { key, way, to }, options)
    if (created === 'already') already.push(keyObjectOf(key.id, way))
  }
  return { way, objects: [...wanted], already }
}

/** Stores one data key for one way in. `already` when an object of that name does the same. */
export async function storeWrapped(
  store: ObjectStore,
  { key, way, to }: { readonly key: WrappedKey; readonly way: string; readonly to: KeyRecipients },
  options: StoreOptions,
): Promise<'created' | 'already'> {
  const object = keyObjectOf(key.id, way)
  const outcome = await store.create(object, await wrapKey(key, to), options)
  const stored = await openKeyMessage(await readStored(store, object, options), { passphrase: to.passphrase })
  const ids = await Promise.all((to.recipients ?? []).map(recipientKeyIds))
  const fits =
    (to.passphrase === undefined || stored.key?.key.equals(key.key) === true) &&
    stored.protection.passphrases === (to.passphrase === undefined ? 0 : 1) &&
    stored.protection.recipients.length === ids.length &&
    ids.every((some) => stored.protection.recipients.some((id) => some.includes(id)))
  if (fits) return outcome === 'created' ? 'created' : 'already'
  if (outcome === 'exists') throw taken(way, object)
  throw objectFault(object, 'altered', 'what was just stored does not open with what it was encrypted for')
}

/** All data keys, the newest first; throws `repository-key-missing` when there is one that did not open. */
export function requireAllOpened(repository: RepositoryPlace, objects: readonly KeyObject[]): readonly WrappedKey[] {
  const keys = openedKeys(objects)
  const closed = knownDataKeys(objects).filter((id) => keys.every((key) => key.id !== id))
  if (closed.length === 0) return keys
  throw new Fault(
    repositoryFaults['repository-key-missing'],
    `Cannot change the keys of the repository in ${repository.store.description}: the passphrase or private key does not open the data key ${closed.join(', ')}`,
    { details: { dataKeys: closed } },
  )
}

export function assertWayName(way: string): void {
  if (isWayName(way)) return
  throw new Fault(
    repositoryFaults['repository-key-name-invalid'],
    `Cannot call a passphrase or recipient ${JSON.stringify(way)}`,
    { details: { name: way } },
  )
}

function taken(way: string, object: string): Fault {
  return new Fault(
    repositoryFaults['repository-key-name-taken'],
    `Cannot add ${way}: ${object} is there already and is for somebody else`,
    { details: { name: way, object } },
  )
}
