import { Fault } from '../std/fault.ts'
import type { StoreOptions } from '../store/object-store.ts'
import { isObjectFault } from './catalogue.ts'
import { decodeCheckedJson, encodeCheckedJson, formatVersion } from './checked-json.ts'
import type { GapObject } from './core/collection.ts'
import { gapFromJson, gapFromName, gapToJson, type GapRecord } from './core/gap-record.ts'
import { gapName, gapObject, gapsPrefix, parseGapName } from './core/object-names.ts'
import { assertClusterName, type Repository } from './repository.ts'
import { readIfStored } from './stored-objects.ts'

/**
 * The gap ledger: what WAL is lost to the repository, so that nobody has to conclude it from what is not there. Written
 * before anything behind the gap is stored; a record stays as long as a backup is kept from which one could want to pass.
 */
export async function recordGap(
  repository: Repository,
  cluster: string,
  gap: Omit<GapRecord, 'id'>,
  options: StoreOptions = {},
): Promise<GapRecord> {
  assertClusterName(cluster)
  const value = { format: formatVersion, repositoryId: repository.id, cluster, ...gapToJson(gap) }
  // Whoever found it first has said the same of the same range.
  await repository.store.create(gapObject(cluster, gap), encodeCheckedJson(value), options)
  return { ...gap, id: gapName(gap) }
}

/** All records, by place. One that cannot be read still says by its name what is lost. */
export async function readGaps(
  repository: Repository,
  cluster: string,
  options: StoreOptions = {},
): Promise<readonly GapRecord[]> {
  const gaps: GapRecord[] = []
  for (const { key, timeline, startLsn, endLsn } of await listGapObjects(repository, cluster, options)) {
    const id = gapName({ timeline, startLsn, endLsn })
    const bytes = await readIfStored(repository.store, key, options)
    // Collected while we listed.
    if (bytes === undefined) continue
    try {
      const gap = decodeCheckedJson(key, bytes, (value) => gapFromJson(id, value))
      gaps.push(gapName(gap) === id ? gap : gapFromName(id, { timeline, startLsn, endLsn }))
    } catch (error) {
      if (!(error instanceof Fault) || !isObjectFault(error)) throw error
      gaps.push(gapFromName(id, { timeline, startLsn, endLsn }))
    }
  }
  return gaps
}

export async function listGapObjects(
  repository: Repository,
  cluster: string,
  options: StoreOptions = {},
): Promise<readonly GapObject[]> {
  assertClusterName(cluster)
  const prefix = gapsPrefix(cluster)
  const found: GapObject[] = []
  for await (const { key, sizeBytes } of repository.store.list(prefix, options)) {
    const [name = '', ending] = key.slice(prefix.length).split('.')
    const range = ending === 'json' ? parseGapName(name) : undefined
    if (range !== undefined) found.push({ key, sizeBytes, ...range })
  }
  return found
}
