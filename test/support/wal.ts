import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { TimelineId } from '../../src/wal/core/lsn.ts'
import { pagesOfSegment } from '../../src/wal/core/record-reader.ts'
import type { WalPages } from '../../src/wal/core/record-reader.ts'
import { segmentFileName, segmentOf, segmentStart } from '../../src/wal/core/segment.ts'

/** The WAL pages of one timeline in a server's `pg_wal`. */
export function pagesOfDirectory(directory: string, timeline: TimelineId, segmentBytes: number): WalPages {
  const segments = new Map<string, WalPages | undefined>()
  return {
    segmentBytes,
    page: (lsn) => {
      const segment = segmentOf(lsn, segmentBytes)
      const name = segmentFileName(timeline, segment, segmentBytes)
      if (!segments.has(name)) segments.set(name, open(join(directory, name)))
      return segments.get(name)?.page(lsn)

      function open(path: string): WalPages | undefined {
        try {
          return pagesOfSegment(readFileSync(path), segmentStart(segment, segmentBytes), segmentBytes)
        } catch {
          return undefined
        }
      }
    },
  }
}
