import { backupOfPack, packsPrefix } from '../repository/core/object-names.ts'
import type { Repository } from '../repository/repository.ts'
import type { StoreOptions } from '../store/object-store.ts'
import type { PlannedRestore } from './plan-from-repository.ts'

/** The packs of a planned backup that the store does not have, or not in their size. Nothing is read of them. */
export async function missingPacks(
  repository: Repository,
  { cluster, commit }: PlannedRestore,
  options: StoreOptions = {},
): Promise<readonly string[]> {
  const { packs } = commit.facts
  const found = new Map<string, number>()
  for (const backup of new Set(packs.map(({ key }) => backupOfPack(key)))) {
    for await (const { key, sizeBytes } of repository.store.list(packsPrefix(cluster, backup), options)) {
      found.set(key, sizeBytes)
    }
  }
  return packs.filter(({ key, sizeBytes }) => found.get(key) !== sizeBytes).map(({ key }) => key)
}
