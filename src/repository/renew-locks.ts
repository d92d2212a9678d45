import { isFault } from '../std/fault.ts'
import { storeFaults } from '../store/faults.ts'
import type { ObjectStore, StoreOptions } from '../store/object-store.ts'
import { clusterObject, guideObject, keysPrefix, repositoryObject, restoreProgramObject } from './core/object-names.ts'

const parallelRenewals = 8

/**
 * Where objects are locked for a time after they were written, those that a new backup shares with older ones, and without
 * which nothing opens, are protected again as if they had been written now. So what a backup needs is locked as long as
 * the backup itself. Does nothing in other stores.
 */
export async function renewLocks(
  store: ObjectStore,
  cluster: string,
  shared: readonly string[],
  options: StoreOptions = {},
): Promise<void> {
  const renew = store.renewLock?.bind(store)
  if (renew === undefined) return
  const keys = await Array.fromAsync(store.list(keysPrefix, options))
  const always = [repositoryObject, clusterObject(cluster), ...keys.map(({ key }) => key)]
  const waiting = [...always, ...shared, guideObject, restoreProgramObject]
  const work = async (): Promise<void> => {
    for (let key = waiting.pop(); key !== undefined; key = waiting.pop()) {
      try {
        await renew(key, options)
      } catch (error) {
        // Two of them are for people; and one that a backup needs is missed by whoever checks the backup.
        if (!isFault(error, storeFaults['store-object-missing'])) throw error
      }
    }
  }
  await Promise.all(Array.from({ length: parallelRenewals }, work))
}
