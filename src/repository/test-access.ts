import { Fault } from '../std/fault.ts'
import type { ObjectStore, StoreOptions } from '../store/object-store.ts'
import { listBackups } from './catalogue.ts'
import { objectFault } from './damage.ts'
import { repositoryFaults } from './faults.ts'
import { requireAllOpened } from './give-access.ts'
import { readKeyObjects } from './key-objects.ts'
import type { KeyAccess } from './openpgp-keys.ts'
import { openPack } from './pack-reader.ts'
import { identifyRepository, type Repository } from './repository.ts'
import { readStored } from './stored-objects.ts'

/** What a passphrase or a private key was seen to do. */
export interface AccessTest {
  readonly dataKeys: readonly string[]
  /** The key objects that it opens. */
  readonly opened: readonly string[]
  /** An object of the newest backup that was decrypted with what it opens; null when nothing is stored yet. */
  readonly decrypted: string | null
}

/**
 * Tries what a key is for, as a restore on another machine would: it opens every data key that the repository has, and
 * with them what the newest backup holds. Throws `repository-wrong-key` when it opens none, `repository-key-missing` when
 * it opens only some, and `repository-object-damaged` when a key object is bad, even if this key does not need it.
 */
export async function testAccess(
  store: ObjectStore,
  { cluster, access }: { readonly cluster: string; readonly access: KeyAccess },
  options: StoreOptions = {},
): Promise<AccessTest> {
  const { id, createdAt } = await identifyRepository(store, options)
  const objects = await readKeyObjects(store, id, { ...access, ...options })
  for (const { object, state } of objects) {
    if (state.kind === 'damaged') throw objectFault(object, state.because.problem, state.because.message, state.because)
  }
  const opened = objects.filter(({ state }) => state.kind === 'opened').map(({ object }) => object)
  if (opened.length === 0) {
    throw new Fault(
      repositoryFaults['repository-wrong-key'],
      `Cannot open the repository in ${store.description}: the key opens none of ${objects.length} key objects`,
      { details: { store: store.description, keyObjects: objects.map(({ object }) => object) } },
    )
  }
  const [current, ...others] = requireAllOpened({ id, store }, objects)
  if (current === undefined) throw new Error('a key object was opened and gave no key')
  const keyring = { repositoryId: id, current, keys: [current, ...others] }
  const decrypted = await decryptSomething({ id, createdAt, store, keyring }, cluster, options)
  return { dataKeys: keyring.keys.map((key) => key.id), opened, decrypted }
}

async function decryptSomething(
  repository: Repository,
  cluster: string,
  options: StoreOptions,
): Promise<string | null> {
  const { backups } = await listBackups(repository, cluster, options)
  const newest = backups.at(-1)?.manifest
  if (newest === undefined) return null
  const bytes = await readStored(repository.store, newest.key, options)
  openPack(repository.keyring, newest.key, bytes, newest).read(0)
  return newest.key
}
