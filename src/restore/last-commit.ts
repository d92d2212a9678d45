import type { Repository } from '../repository/repository.ts'
import { readSegmentBestEffort } from '../repository/wal-segment-best-effort.ts'
import { commitTime } from '../wal/core/commit-time.ts'
import type { Lsn, TimelineId } from '../wal/core/lsn.ts'
import { pagesOfSegment, readRecords } from '../wal/core/record-reader.ts'

/** An idle server writes checkpoints and nothing else; beyond so many segments the answer is not worth the reading. */
const mostSegments = 3

/**
 * The moment of the last commit before a position, by the server's clock: no later moment can be restored there. Null when
 * the last segments hold none.
 */
export async function lastCommitBefore(
  repository: Repository,
  at: {
    readonly cluster: string
    readonly timeline: TimelineId
    readonly lsn: Lsn
    readonly walSegmentBytes: number
  },
  options: { readonly signal?: AbortSignal | undefined } = {},
): Promise<bigint | null> {
  const size = BigInt(at.walSegmentBytes)
  let startLsn = ((at.lsn - 1n) / size) * size
  for (let read = 0; read < mostSegments && startLsn >= 0n; read += 1, startLsn -= size) {
    const segment = { ...at, startLsn: startLsn as Lsn }
    const content = await readSegmentBestEffort(repository, segment, options)
    if (content === undefined) return null
    const whole = new Uint8Array(at.walSegmentBytes)
    whole.set(content.bytes.subarray(0, Number(at.lsn - startLsn)))
    const pages = pagesOfSegment(whole, startLsn as Lsn, at.walSegmentBytes)
    let last: bigint | null = null
    for (const record of readRecords(pages, startLsn as Lsn)) {
      if (record.endLsn > at.lsn) break
      last = commitTime(pages, record) ?? last
    }
    if (last !== null) return last
  }
  return null
}
