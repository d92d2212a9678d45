import type { Manifest, ManifestFile } from './manifest.ts'
import { splitByRecord, type PageRun } from './page-map.ts'
import type { RecordDescription } from './record.ts'

/** What the files of a manifest expect of its packs. */
export interface PackExpectations {
  readonly pageBytes: number
  /** By pack number. */
  readonly runs: ReadonlyMap<number, readonly { readonly path: string; readonly run: PageRun }[]>
  readonly parts: ReadonlyMap<number, readonly ExpectedPart[]>
}

interface ExpectedPart {
  readonly path: string
  /** Which of the file's parts it is. */
  readonly part: number
  readonly record: number
  readonly count: number
}

/** The pieces found of each whole file, by path. */
export type FoundPieces = Map<string, FoundPiece[]>

interface FoundPiece {
  readonly part: number
  readonly record: number
  readonly offset: number
  readonly rawBytes: number
}

export function expectationsOf(manifest: Manifest): PackExpectations {
  const runs = new Map<number, { path: string; run: PageRun }[]>()
  const parts = new Map<number, ExpectedPart[]>()
  for (const file of manifest.files) {
    if (file.kind === 'pages') for (const run of file.map) push(runs, run.pack, { path: file.path, run })
    if (file.kind !== 'whole') continue
    for (const [part, { pack, record, count }] of file.parts.entries()) {
      push(parts, pack, { path: file.path, part, record, count })
    }
  }
  return { pageBytes: manifest.facts.pageBytes, runs, parts }
}

type Records = readonly (RecordDescription & { readonly rawBytes: number })[]

/**
 * The first disagreement between what the manifest expects of a pack and what the pack's own index says it holds, page
 * by page; undefined when they agree. `found` collects the pieces of whole files, for {@link incompleteFile}.
 */
export function mismatch(
  expectations: PackExpectations,
  pack: number,
  records: Records,
  found: FoundPieces,
): string | undefined {
  for (const { path, run } of expectations.runs.get(pack) ?? []) {
    for (const piece of splitByRecord([run])) {
      if (!holdsPages(records, path, piece, expectations.pageBytes)) {
        return `record ${piece.record} does not hold page ${piece.startPage} and the ${piece.count - 1} after it of ${path}`
      }
    }
  }
  for (const { path, part, record: first, count } of expectations.parts.get(pack) ?? []) {
    for (let number = first; number < first + count; number += 1) {
      const record = records[number]
      if (record?.type !== 'file' || record.meta.path !== path) return `record ${number} is not a piece of ${path}`
      push(found, path, { part, record: number, offset: record.meta.offset, rawBytes: record.rawBytes })
    }
  }
  return undefined
}

/** The first whole file whose pieces, in the order of its parts, do not follow each other up to its size. */
export function incompleteFile(manifest: Manifest, found: FoundPieces): ManifestFile | undefined {
  return manifest.files.find((file) => {
    if (file.kind !== 'whole') return false
    let end = 0
    for (const piece of (found.get(file.path) ?? []).toSorted((a, b) => a.part - b.part || a.record - b.record)) {
      if (piece.offset !== end) return true
      end += piece.rawBytes
    }
    return end !== file.sizeBytes
  })
}

function holdsPages(records: Records, path: string, piece: PageRun, pageBytes: number): boolean {
  const record = records[piece.record]
  const end = piece.slot + piece.count
  if (record === undefined || record.rawBytes < end * pageBytes) return false
  if (record.type === 'pages') {
    const { firstPage, pageCount } = record.meta
    return record.meta.path === path && firstPage + piece.slot === piece.startPage && end <= pageCount
  }
  if (record.type !== 'scattered-pages' || record.meta.path !== path) return false
  const { pages } = record.meta
  return pages.slice(piece.slot, end).every((page, index) => page === piece.startPage + index) && end <= pages.length
}

function push<Key, Value>(map: Map<Key, Value[]>, key: Key, value: Value): void {
  const values = map.get(key)
  if (values === undefined) map.set(key, [value])
  else values.push(value)
}
