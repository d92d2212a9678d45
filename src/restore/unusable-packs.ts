import { backupOfPack, packsPrefix } from '../repository/core/object-names.ts'
import { objectFault } from '../repository/damage.ts'
import type { Repository } from '../repository/repository.ts'
import type { Fault } from '../std/fault.ts'
import type { StoreOptions } from '../store/object-store.ts'
import type { PlannedRestore } from './plan-from-repository.ts'

/** Why each pack of a planned backup that is missing or has another size cannot be used. Nothing is read of them. */
export async function unusablePacks(
  repository: Repository,
  { cluster, commit }: PlannedRestore,
  options: StoreOptions = {},
): Promise<readonly Fault[]> {
  const { packs } = commit.facts
  const found = new Map<string, number>()
  for (const backup of new Set(packs.map(({ key }) => backupOfPack(key)))) {
    for await (const { key, sizeBytes } of repository.store.list(packsPrefix(cluster, backup), options)) {
      found.set(key, sizeBytes)
    }
  }
  return packs.flatMap(({ key, sizeBytes }) => {
    const present = found.get(key)
    if (present === sizeBytes) return []
    if (present === undefined) return [objectFault(key, 'missing', `it is not in ${repository.store.description}`)]
    return [objectFault(key, 'truncated', `it has ${present} bytes, not ${sizeBytes}`)]
  })
}
