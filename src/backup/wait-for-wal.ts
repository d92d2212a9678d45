import type { Repository } from '../repository/repository.ts'
import { walCoverage } from '../repository/core/wal-coverage.ts'
import { walInventory } from '../repository/wal-objects.ts'
import type { Clock } from '../std/clock.ts'
import { Fault } from '../std/fault.ts'
import { formatLsn, type Lsn, type TimelineId } from '../wal/core/lsn.ts'
import { backupFaults } from './faults.ts'

export interface NeededWal {
  readonly cluster: string
  readonly timeline: TimelineId
  readonly startLsn: Lsn
  /** Exclusive. */
  readonly stopLsn: Lsn
  readonly walSegmentBytes: number
}

const firstPollMs = 100
const longestPollMs = 2000

/**
 * Resolves when the repository durably holds the WAL that recovery needs. Throws `backup-wal-missing` when nothing of
 * it has arrived for `stallMs`; as long as some does, it goes on waiting.
 */
export async function waitForWal(
  repository: Repository,
  needed: NeededWal,
  options: { readonly clock: Clock; readonly stallMs: number; readonly signal?: AbortSignal | undefined },
): Promise<void> {
  const { clock, stallMs, signal } = options
  let reached = await reachedLsn(repository, needed, signal)
  let progressAt = clock.monotonic()
  for (let pollMs = firstPollMs; reached < needed.stopLsn; pollMs = Math.min(longestPollMs, pollMs * 1.5)) {
    if (clock.monotonic() - progressAt >= stallMs) throw stalled(needed, reached, stallMs)
    await clock.sleep(pollMs, { signal })
    const now = await reachedLsn(repository, needed, signal)
    if (now > reached) progressAt = clock.monotonic()
    reached = now
  }
}

async function reachedLsn(repository: Repository, needed: NeededWal, signal: AbortSignal | undefined): Promise<Lsn> {
  const inventory = await walInventory(repository, needed.cluster, { signal })
  const { ranges } = walCoverage(inventory, needed)
  const range = ranges.find(({ startLsn, endLsn }) => startLsn <= needed.startLsn && endLsn > needed.startLsn)
  return range?.endLsn ?? needed.startLsn
}

function stalled(needed: NeededWal, reached: Lsn, stallMs: number): Fault {
  const [start, stop, end] = [formatLsn(needed.startLsn), formatLsn(needed.stopLsn), formatLsn(reached)]
  return new Fault(
    backupFaults['backup-wal-missing'],
    `Cannot complete the backup: it needs WAL ${start} to ${stop} of timeline ${needed.timeline}, and the repository has it up to ${end} with nothing new for ${stallMs / 1000} s`,
    { details: { startLsn: start, stopLsn: stop, reachedLsn: end, timeline: needed.timeline } },
  )
}
