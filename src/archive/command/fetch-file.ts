import { readClusterIdentity } from '../../repository/cluster-identity.ts'
import type { ClusterIdentity } from '../../repository/cluster-identity.ts'
import { isInGap } from '../../repository/core/gap-record.ts'
import { contiguousTail, walCoverage } from '../../repository/core/wal-coverage.ts'
import type { WalInventory } from '../../repository/core/wal-coverage.ts'
import { repositoryFaults } from '../../repository/faults.ts'
import { readGaps } from '../../repository/gaps.ts'
import type { Repository } from '../../repository/repository.ts'
import type { WalOptions } from '../../repository/wal-objects.ts'
import { readHistory, readOddWalFile, readWalSegment, walInventory } from '../../repository/wal-objects.ts'
import { readSegmentBestEffort } from '../../repository/wal-segment-best-effort.ts'
import { Fault, isFault } from '../../std/fault.ts'
import { formatLsn } from '../../wal/core/lsn.ts'
import type { Lsn, TimelineId } from '../../wal/core/lsn.ts'
import { classifyWalFile, segmentStart } from '../../wal/core/segment.ts'
import type { WalFile } from '../../wal/core/segment.ts'
import { archiveFaults } from '../faults.ts'

export interface FetchRequest {
  readonly repository: Repository
  readonly cluster: string
  readonly identity: ClusterIdentity
  /** As PostgreSQL asks for it: a segment or a history file. */
  readonly name: string
  /** `recovery` ends where the WAL ends; a `standby` goes on asking, and may stream the rest. */
  readonly mode: 'recovery' | 'standby'
}

export type Fetched =
  | { readonly kind: 'file'; readonly bytes: Uint8Array; readonly whole: boolean }
  /** Proven: the repository was asked and does not have it, and nothing that it has would be passed over without it. */
  | { readonly kind: 'absent' }

/**
 * One file for `restore_command`. In recovery the beginning of the last segment is given too, filled with zeros, which
 * PostgreSQL takes for the end of WAL; a standby would have to get the whole one later and does not get it. Throws where
 * something stands in the way, a missing segment with WAL behind it included: to say `absent` then would make PostgreSQL
 * open the database with data missing (law L7).
 */
export async function fetchWalFile(request: FetchRequest, options: WalOptions = {}): Promise<Fetched> {
  const { repository, cluster, identity, name } = request
  const file = classifyWalFile(name, identity.walSegmentBytes)
  switch (file?.kind) {
    case 'segment':
      return await fetchSegment(request, file, identity.walSegmentBytes, options)
    case 'history':
      return await fetchHistory(request, file.timeline, options)
    case 'partial':
    case 'backup': {
      const bytes = await readOddWalFile(repository, { cluster, name }, options)
      return bytes === undefined ? { kind: 'absent' } : { kind: 'file', bytes, whole: true }
    }
    case undefined:
      return { kind: 'absent' }
    default:
      return file satisfies never
  }
}

/** Throws `archive-nothing-stored`: to say that a file is absent then would be right and no help. */
export async function storedCluster(
  { repository, cluster }: Pick<FetchRequest, 'repository' | 'cluster'>,
  options: WalOptions = {},
): Promise<ClusterIdentity> {
  const identity = await readClusterIdentity(repository, cluster, options)
  if (identity !== undefined) return identity
  const message = `Cannot fetch WAL: ${repository.store.description} has nothing of the cluster ${cluster}`
  throw new Fault(archiveFaults['archive-nothing-stored'], message, { details: { cluster } })
}

async function fetchSegment(
  request: FetchRequest,
  { timeline, segment }: Extract<WalFile, { kind: 'segment' }>,
  walSegmentBytes: number,
  options: WalOptions,
): Promise<Fetched> {
  const { repository, cluster, name, mode } = request
  const stored = await readStoredSegment(request, options)
  if (stored !== undefined) return { kind: 'file', bytes: stored, whole: true }
  const startLsn = segmentStart(segment, walSegmentBytes)
  const inventory = await walInventory(repository, cluster, options)
  const beginning = contiguousTail(inventory.tails, {
    timeline,
    startLsn,
    endLsn: (startLsn + BigInt(walSegmentBytes)) as Lsn,
  })
  const endLsn = beginning.at(-1)?.endLsn ?? startLsn
  await refuseGap(request, { inventory, timeline, endLsn, walSegmentBytes }, options)
  if (mode === 'standby') return { kind: 'absent' }
  const place = { cluster, timeline, startLsn, walSegmentBytes }
  const content = await readSegmentBestEffort(repository, place, options)
  if (content === undefined) {
    // Nothing in the listing either: unless it has come meanwhile, it is not there.
    if (beginning.length === 0) return { kind: 'absent' }
    throw gone(name)
  }
  if (content.bytes.length === walSegmentBytes) return { kind: 'file', bytes: content.bytes, whole: true }
  const bytes = new Uint8Array(walSegmentBytes)
  bytes.set(content.bytes)
  return { kind: 'file', bytes, whole: false }
}

async function readStoredSegment(
  { repository, cluster, name }: FetchRequest,
  options: WalOptions,
): Promise<Uint8Array | undefined> {
  try {
    return await readWalSegment(repository, { cluster, name }, options)
  } catch (error) {
    if (isFault(error, repositoryFaults['repository-wal-missing'])) return undefined
    throw error
  }
}

/** WAL of the same timeline behind what is missing, or a record that it is lost: recovery would stop short of it. */
async function refuseGap(
  { repository, cluster, name }: FetchRequest,
  at: {
    readonly inventory: WalInventory
    readonly timeline: TimelineId
    readonly endLsn: Lsn
    readonly walSegmentBytes: number
  },
  options: WalOptions,
): Promise<void> {
  const { inventory, timeline, endLsn } = at
  const { ranges, gaps } = walCoverage(inventory, { timeline, walSegmentBytes: at.walSegmentBytes })
  const hole = gaps.find((gap) => gap.startLsn <= endLsn && endLsn < gap.endLsn)
  // Before the timeline's first WAL it is its parent that is asked next.
  const begun = ranges.some(({ startLsn }) => startLsn <= endLsn)
  const record = (await readGaps(repository, cluster, options)).find((gap) => isInGap(gap, timeline, endLsn))
  if (hole === undefined && (record === undefined || !begun)) return
  const goesOn = formatLsn(hole?.endLsn ?? (record?.endLsn as Lsn))
  const because = record === undefined ? '' : `: ${record.because}`
  throw new Fault(
    archiveFaults['archive-wal-gap'],
    `Cannot fetch ${name}: the WAL of timeline ${timeline} from ${formatLsn(endLsn)} to ${goesOn} is missing in the repository${because}`,
    { details: { name, timeline, startLsn: formatLsn(endLsn), endLsn: goesOn } },
  )
}

/**
 * PostgreSQL looks for newer timelines one number after the other and stops at the first that is missing. Where a number
 * was never used but a higher one was, it gets a history without entries, which is passed over.
 */
async function fetchHistory(
  { repository, cluster }: FetchRequest,
  timeline: TimelineId,
  options: WalOptions,
): Promise<Fetched> {
  try {
    return { kind: 'file', bytes: await readHistory(repository, { cluster, timeline }, options), whole: true }
  } catch (error) {
    if (!isFault(error, repositoryFaults['repository-wal-missing'])) throw error
  }
  const { histories } = await walInventory(repository, cluster, options)
  const later = histories.find((known) => known > timeline)
  if (later === undefined || timeline === 1) return { kind: 'absent' }
  return { kind: 'file', bytes: Buffer.from(`# no such timeline; ${later} is one\n`), whole: true }
}

function gone(name: string): Fault {
  return new Fault(
    repositoryFaults['repository-wal-missing'],
    `Cannot fetch ${name}: its parts were removed while they were read`,
  )
}
