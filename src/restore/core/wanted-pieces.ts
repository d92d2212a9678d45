import type { FilePart, PageFile, WholeFile } from '../../repository/core/manifest.ts'
import { chunkBytes, chunkCount } from '../../repository/core/chunks.ts'
import { pagesPerRecord, withoutPages } from '../../repository/core/page-map.ts'
import type { PageMap, PageRun } from '../../repository/core/page-map.ts'

/** Chunks of a file that are not as they should be: pairs of the first and how many, ascending. */
export type ChunkRanges = Uint32Array

/** Which chunks of a file have to come from the backup. */
export type Wanted = 'all' | ChunkRanges

/** What a restore needs from packs for one file. */
export type Pieces =
  | { readonly kind: 'pages'; readonly map: PageMap }
  | { readonly kind: 'whole'; readonly parts: readonly FilePart[] }

export function wantedPieces(file: PageFile | WholeFile, wanted: Wanted): Pieces {
  if (file.kind === 'pages') {
    return {
      kind: 'pages',
      map: wanted === 'all' ? file.map : withoutPages(file.map, keptRuns(wanted, file.sizeBytes)),
    }
  }
  const records = file.parts.reduce((sum, part) => sum + part.count, 0)
  // Only where each record is one chunk is it known which is which.
  const all = wanted === 'all' || (wanted.length > 0 && records !== chunkCount(file.sizeBytes))
  return { kind: 'whole', parts: all ? file.parts : wantedParts(file.parts, wanted) }
}

/** Bytes of a file in the wanted chunks. */
export function wantedBytes({ sizeBytes }: PageFile | WholeFile, wanted: Wanted): number {
  if (wanted === 'all') return sizeBytes
  let bytes = 0
  for (const [first, count] of rangesOf(wanted)) {
    bytes += Math.min(sizeBytes, (first + count) * chunkBytes) - first * chunkBytes
  }
  return bytes
}

/** Everything but the wanted chunks, as runs of pages; where they would be does not matter. */
function keptRuns(wanted: ChunkRanges, sizeBytes: number): PageRun[] {
  const kept: PageRun[] = []
  let next = 0
  const keepUpTo = (chunk: number): void => {
    if (chunk > next) {
      const place = { pack: 0, record: 0, slot: 0 }
      kept.push({ startPage: next * pagesPerRecord, count: (chunk - next) * pagesPerRecord, ...place })
    }
  }
  for (const [first, count] of rangesOf(wanted)) {
    keepUpTo(first)
    next = first + count
  }
  keepUpTo(chunkCount(sizeBytes))
  return kept
}

function wantedParts(parts: readonly FilePart[], wanted: ChunkRanges): FilePart[] {
  const result: FilePart[] = []
  let begin = 0
  for (const part of parts) {
    for (const [first, count] of rangesOf(wanted)) {
      const from = Math.max(begin, first)
      const to = Math.min(begin + part.count, first + count)
      if (from < to) result.push({ pack: part.pack, record: part.record + from - begin, count: to - from })
    }
    begin += part.count
  }
  return result
}

function* rangesOf(ranges: ChunkRanges): Generator<readonly [number, number]> {
  for (let at = 0; at < ranges.length; at += 2) yield [ranges[at] ?? 0, ranges[at + 1] ?? 0]
}
