import type { StoreOptions } from '../store/object-store.ts'
import type { Lsn } from '../wal/core/lsn.ts'
import { listBackups } from './catalogue.ts'
import { readClusterIdentity } from './cluster-identity.ts'
import type { GapRecord } from './core/gap-record.ts'
import { walCoverage } from './core/wal-coverage.ts'
import type { LsnRange, WalInventory } from './core/wal-coverage.ts'
import { readGaps } from './gaps.ts'
import type { Repository } from './repository.ts'
import { walInventory } from './wal-objects.ts'

/** Gaps behind which no backup begins yet, so that what was written since cannot be restored. */
export async function openGaps(
  repository: Repository,
  cluster: string,
  options: StoreOptions = {},
): Promise<readonly GapRecord[]> {
  const gaps = await readGaps(repository, cluster, options)
  const identity = gaps.length === 0 ? undefined : await readClusterIdentity(repository, cluster, options)
  if (identity === undefined) return []
  const inventory = await walInventory(repository, cluster, options)
  const { backups } = await listBackups(repository, cluster, options)
  return gaps.filter((gap) => {
    if (isHealed(gap, inventory, identity.walSegmentBytes)) return false
    return !backups.some(({ facts }) => facts.timeline >= gap.timeline && facts.startLsn >= gap.endLsn)
  })
}

/** Somebody brought the WAL after all. */
function isHealed(gap: GapRecord, inventory: WalInventory, walSegmentBytes: number): boolean {
  // Across timelines only the whole way tells; such a gap stays on record.
  if (gap.fromTimeline !== gap.timeline) return false
  return covers(walCoverage(inventory, { timeline: gap.timeline, walSegmentBytes }).ranges, gap)
}

function covers(ranges: readonly LsnRange[], { startLsn, endLsn }: { startLsn: Lsn; endLsn: Lsn }): boolean {
  return ranges.some((range) => range.startLsn <= startLsn && range.endLsn >= endLsn)
}
