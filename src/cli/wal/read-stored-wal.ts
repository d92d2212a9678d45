import { parseWalName, walPrefix } from '../../repository/core/object-names.ts'
import { walCoverage } from '../../repository/core/wal-coverage.ts'
import { listBackups } from '../../repository/catalogue.ts'
import { openGaps } from '../../repository/open-gaps.ts'
import type { Repository } from '../../repository/repository.ts'
import { walInventory } from '../../repository/wal-objects.ts'
import { restoreWindows } from '../../restore/core/windows.ts'
import type { RestoreWindow } from '../../restore/core/windows.ts'
import { lastCommitBefore } from '../../restore/last-commit.ts'
import { loadCatalogue } from '../../restore/plan-from-repository.ts'
import type { EpochMs } from '../../std/clock.ts'
import type { TimelineId } from '../../wal/core/lsn.ts'
import type { ShownWindow, StoredTimeline, StoredWal } from './core/wal-report.ts'

/** What a repository holds of the WAL: by timeline, what of it can be restored to which moment, and what is lost. */
export async function readStoredWal(
  repository: Repository,
  cluster: string,
  options: { readonly signal: AbortSignal },
): Promise<StoredWal> {
  const listed = await listBackups(repository, cluster, options)
  const { catalogue } = await loadCatalogue(repository, cluster, listed, options)
  const windows: ShownWindow[] = []
  for (const window of restoreWindows(catalogue)) {
    const { endTimeline: timeline, toLsn: lsn } = window
    const at = { cluster, timeline, lsn, walSegmentBytes: catalogue.segmentBytes }
    windows.push(shownWindow(window, await lastCommitBefore(repository, at, options)))
  }
  const open = new Set((await openGaps(repository, cluster, options)).map(({ id }) => id))
  return {
    timelines: await readTimelines(repository, cluster, catalogue.segmentBytes, options),
    windows,
    gaps: (catalogue.gaps ?? []).map((gap) => ({ ...gap, open: open.has(gap.id) })),
  }
}

function shownWindow({ timeline, from, toLsn }: RestoreWindow, lastMicros: bigint | null): ShownWindow {
  return {
    timeline,
    backup: from.id,
    from: from.stopTimeMs as EpochMs,
    fromLsn: from.stopLsn,
    lastCommit: lastMicros === null ? null : (Number(lastMicros / 1000n) as EpochMs),
    toLsn,
  }
}

async function readTimelines(
  repository: Repository,
  cluster: string,
  walSegmentBytes: number,
  options: { readonly signal: AbortSignal },
): Promise<readonly StoredTimeline[]> {
  const inventory = await walInventory(repository, cluster, options)
  const bytes = new Map<TimelineId, number>()
  const prefix = walPrefix(cluster)
  for await (const { key, sizeBytes } of repository.store.list(prefix, options)) {
    const found = parseWalName(key.slice(prefix.length))
    if (found !== undefined) bytes.set(found.timeline, (bytes.get(found.timeline) ?? 0) + sizeBytes)
  }
  const ids = [...new Set([...inventory.segments, ...inventory.tails].map(({ timeline }) => timeline))]
  return ids
    .toSorted((left, right) => right - left)
    .map((timeline) => {
      const names = inventory.segments.filter((segment) => segment.timeline === timeline).map(({ name }) => name)
      return {
        timeline,
        ranges: walCoverage(inventory, { timeline, walSegmentBytes }).ranges,
        segments: names.length,
        storedBytes: bytes.get(timeline) ?? 0,
        newestSegment: names.toSorted().at(-1) ?? null,
      }
    })
}
