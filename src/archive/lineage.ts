import { listBackups } from '../repository/catalogue.ts'

import type { WalInventory } from '../repository/core/wal-coverage.ts'
import type { Repository } from '../repository/repository.ts'
import { readTail, readWalSegment } from '../repository/wal-objects.ts'
import { parsePageHeader } from '../wal/core/page-header.ts'

/**
 * The system identifier of the cluster whose WAL and backups a repository holds; undefined while it holds none. The WAL
 * itself says it, in the first page of each segment.
 */
export async function storedSystemIdentifier(
  repository: Repository,
  cluster: string,
  inventory: WalInventory,
  options: { readonly signal?: AbortSignal | undefined } = {},
): Promise<bigint | undefined> {
  const { backups } = await listBackups(repository, cluster, options)
  const newest = backups.at(-1)
  if (newest !== undefined) return newest.facts.systemIdentifier
  const [segment] = inventory.segments
  if (segment !== undefined) return identifierIn(await readWalSegment(repository, { cluster, ...segment }, options))
  for (const tail of inventory.tails) {
    // Whatever the size of segments is, a part that begins with a long page header begins one.
    const found = identifierIn(await readTail(repository, { cluster, ...tail }, options))
    if (found !== undefined) return found
  }
  return undefined
}

function identifierIn(wal: Uint8Array): bigint | undefined {
  return parsePageHeader(wal.subarray(0, 8192))?.segment?.systemIdentifier
}
