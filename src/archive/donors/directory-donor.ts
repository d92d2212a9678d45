import { readFile, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { segmentNameAt } from '../../repository/core/object-names.ts'
import type { Lsn } from '../../wal/core/lsn.ts'
import { findEndOfWal, pagesOfSegment } from '../../wal/core/record-reader.ts'
import { parsePageHeader } from '../../wal/core/page-header.ts'
import { NothingToOffer } from './donor.ts'
import type { WalDonor, WantedWal } from './donor.ts'

/**
 * Segments that were put aside: below `divergent/` in the state directory lies what this node had in `pg_wal` before it
 * was rewound or cloned anew. Of a file counts what consists of correct records of this cluster.
 */
export function directoryDonor(directory: string): WalDonor {
  return {
    name: directory,
    async *offer(wanted) {
      const directories = (await readdir(directory, { withFileTypes: true }).catch(() => []))
        .filter((entry) => entry.isDirectory())
        .map((entry) => join(directory, entry.name))
      let reached = wanted.startLsn
      while (reached < wanted.endLsn) {
        const bytes = await longest(directories, wanted, reached)
        if (reached === wanted.startLsn && wanted.startLsn + BigInt(bytes.length) <= wanted.durableLsn) {
          throw new NothingToOffer('it has no such segment')
        }
        if (bytes.length > 0) yield bytes
        reached = (reached + BigInt(bytes.length)) as Lsn
        if (bytes.length < wanted.segmentBytes) return
      }
    },
  }
}

async function longest(directories: readonly string[], wanted: WantedWal, startLsn: Lsn): Promise<Uint8Array> {
  const name = segmentNameAt(wanted.timeline, startLsn, wanted.segmentBytes)
  let best = new Uint8Array(0)
  for (const directory of directories) {
    const bytes = await readFile(join(directory, name)).catch(() => undefined)
    if (bytes === undefined) continue
    const valid = validBytes(bytes, wanted, startLsn)
    if (valid > best.length) best = bytes.subarray(0, valid)
  }
  return best
}

function validBytes(bytes: Uint8Array, wanted: WantedWal, startLsn: Lsn): number {
  const first = parsePageHeader(bytes)
  const fits = first?.lsn === startLsn && first.segment?.systemIdentifier === wanted.systemIdentifier
  if (!fits || first.segment.segmentBytes !== wanted.segmentBytes || bytes.length !== wanted.segmentBytes) return 0
  const end = findEndOfWal(pagesOfSegment(bytes, startLsn, wanted.segmentBytes), startLsn, wanted.systemIdentifier)
  // A record that goes on in the next segment ends with the file, and all of it so far is there.
  const segmentEnd = (startLsn + BigInt(wanted.segmentBytes)) as Lsn
  const validEnd = end.reason === 'no-page' ? segmentEnd : end.endLsn
  return Number((validEnd < wanted.endLsn ? validEnd : wanted.endLsn) - startLsn)
}
