import { Fault } from '../std/fault.ts'
import type { StoreOptions } from '../store/object-store.ts'
import { repositoryFaults } from './faults.ts'
import { openedKeys, knownDataKeys, readKeyObjects, type KeyObject } from './key-objects.ts'
import type { KeyAccess } from './openpgp-keys.ts'
import type { RepositoryPlace } from './repository.ts'

/**
 * Removes a way in: its key objects, and nothing else. What it opened stays encrypted with the same data keys, so whoever
 * has the passphrase and a copy of the removed objects can read what was stored until now, for good. Gives the objects
 * that were removed; none when the repository has no such way.
 *
 * Each data key that this touches must stay open to `access`, with which the caller goes on: this is tried and not
 * assumed. A crash leaves some of the objects; doing it again removes the rest. Throws `repository-key-last`.
 */
export async function takeAccess(
  repository: RepositoryPlace,
  { way, access }: { readonly way: string; readonly access: KeyAccess },
  options: StoreOptions = {},
): Promise<readonly string[]> {
  const { store } = repository
  const objects = await readKeyObjects(store, repository.id, { ...access, ...options })
  const going = objects.filter((object) => object.way === way)
  const staying = objects.filter((object) => object.way !== way)
  assertStaysOpen(repository, way, { going, staying })
  for (const { object } of going) await store.delete(object, options)
  return going.map(({ object }) => object)
}

function assertStaysOpen(
  repository: RepositoryPlace,
  way: string,
  { going, staying }: { readonly going: readonly KeyObject[]; readonly staying: readonly KeyObject[] },
): void {
  const open = new Set(openedKeys(staying).map(({ id }) => id))
  const lost = knownDataKeys(going).filter((id) => !open.has(id))
  const nothing = going.length > 0 && open.size === 0
  if (lost.length === 0 && !nothing) return
  throw new Fault(
    repositoryFaults['repository-key-last'],
    `Cannot remove ${way} from the repository in ${repository.store.description}: without it the configured passphrase or private key does not open the data key ${lost.join(', ')}`,
    { details: { name: way, dataKeys: lost } },
  )
}
