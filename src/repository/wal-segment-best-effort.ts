import { isFault } from '../std/fault.ts'
import type { StoreOptions } from '../store/object-store.ts'
import type { Lsn, TimelineId } from '../wal/core/lsn.ts'
import { segmentNameAt, parseTailName, tailsPrefix, type TailName } from './core/object-names.ts'
import { contiguousTail } from './core/wal-coverage.ts'
import { repositoryFaults } from './faults.ts'
import type { Repository } from './repository.ts'
import { readTail, readWalSegment, type WalOptions } from './wal-objects.ts'

export interface SegmentContent {
  readonly source: 'segment' | 'tail'
  /** From the segment's start to `endLsn`; not padded. */
  readonly bytes: Uint8Array
  readonly endLsn: Lsn
}

/**
 * As much of a segment as the repository holds: the segment itself, else what its tail parts give from its start on
 * without a gap; undefined when it has nothing. Damage is a fault, never a shorter answer.
 */
export async function readSegmentBestEffort(
  repository: Repository,
  segment: {
    readonly cluster: string
    readonly timeline: TimelineId
    readonly startLsn: Lsn
    readonly walSegmentBytes: number
  },
  options: WalOptions = {},
): Promise<SegmentContent | undefined> {
  const endLsn = (segment.startLsn + BigInt(segment.walSegmentBytes)) as Lsn
  // The archiver stores the segment and then deletes its tail: when a part is gone, the segment is there.
  for (let attempt = 0; ; attempt += 1) {
    const whole = await readWholeSegment(repository, segment, options)
    if (whole !== undefined) return { source: 'segment', bytes: whole, endLsn }
    try {
      return await readTailChain(repository, { ...segment, endLsn }, options)
    } catch (error) {
      if (attempt > 0 || !isFault(error, repositoryFaults['repository-wal-missing'])) throw error
    }
  }
}

async function readWholeSegment(
  repository: Repository,
  segment: {
    readonly cluster: string
    readonly timeline: TimelineId
    readonly startLsn: Lsn
    readonly walSegmentBytes: number
  },
  options: WalOptions,
): Promise<Uint8Array | undefined> {
  const name = segmentNameAt(segment.timeline, segment.startLsn, segment.walSegmentBytes)
  try {
    return await readWalSegment(repository, { cluster: segment.cluster, name }, options)
  } catch (error) {
    if (isFault(error, repositoryFaults['repository-wal-missing'])) return undefined
    throw error
  }
}

async function readTailChain(
  repository: Repository,
  segment: { readonly cluster: string; readonly timeline: TimelineId; readonly startLsn: Lsn; readonly endLsn: Lsn },
  options: StoreOptions,
): Promise<SegmentContent | undefined> {
  const chain = contiguousTail(await tailsOf(repository, segment.cluster, options), segment)
  const endLsn = chain.at(-1)?.endLsn
  if (endLsn === undefined) return undefined
  const pieces: Uint8Array[] = []
  for (const part of chain) {
    const bytes = await readTail(repository, { cluster: segment.cluster, ...part.tail }, options)
    pieces.push(bytes.subarray(Number(part.startLsn - part.tail.startLsn)))
  }
  return { source: 'tail', bytes: Buffer.concat(pieces), endLsn }
}

async function tailsOf(repository: Repository, cluster: string, options: StoreOptions): Promise<TailName[]> {
  const prefix = tailsPrefix(cluster)
  const tails: TailName[] = []
  for await (const { key } of repository.store.list(prefix, options)) {
    const tail = parseTailName(key.slice(prefix.length))
    if (tail !== undefined) tails.push(tail)
  }
  return tails
}
