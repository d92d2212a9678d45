import type { ManifestFile } from '../../repository/core/manifest.ts'
import { pagesPerRecord } from '../../repository/core/page-map.ts'
import { wantedPieces } from './wanted-pieces.ts'
import type { Wanted } from './wanted-pieces.ts'

/** Everything that one pack contributes to a data directory. Restoring goes pack by pack: each is fetched once. */
export interface PackJob {
  /** Number in the manifest's list of packs. */
  readonly pack: number
  /** Paths relative to the data directory; the rows below name a file by its place here. */
  readonly files: readonly string[]
  /** Rows of five, by record: file, record, first slot, number of pages, first page in the file. */
  readonly pageRows: Uint32Array
  /** Rows of three: file, first record, number of records. A record itself says where in the file it belongs. */
  readonly fileRows: Uint32Array
}

export const pageRowLength = 5
export const fileRowLength = 3

/** Packs from one number to below another. */
export interface PackRange {
  readonly from: number
  readonly to: number
}

/** What is wanted of the file with this number in the manifest; undefined: nothing. */
export type WantedOf = (file: number) => Wanted | undefined

/**
 * Cuts the packs of a manifest into ranges whose jobs have at most about `maxRows` rows together, so that the jobs of one
 * range fit into memory however large the database is. Packs of which nothing is wanted belong to no range's jobs.
 */
export function packRanges(
  files: Iterable<ManifestFile>,
  wantedOf: WantedOf,
  options: { readonly packCount: number; readonly maxRows: number },
): readonly PackRange[] {
  const rows = new Uint32Array(options.packCount)
  forEachPiece(files, wantedOf, (pack) => (rows[pack] = (rows[pack] ?? 0) + 1))
  const ranges: PackRange[] = []
  let [from, sum] = [0, 0]
  for (const [pack, count] of rows.entries()) {
    if (sum > 0 && sum + count > options.maxRows) {
      ranges.push({ from, to: pack })
      from = pack
      sum = 0
    }
    sum += count
  }
  if (sum > 0) ranges.push({ from, to: options.packCount })
  return ranges
}

/** Turns what is wanted into jobs, in the order of the packs. Empty files and directories need no pack. */
export function packJobs(files: Iterable<ManifestFile>, wantedOf: WantedOf, range: PackRange): readonly PackJob[] {
  const open = new Map<number, OpenJob>()
  forEachPiece(files, wantedOf, (pack, path, piece) => {
    if (pack < range.from || pack >= range.to) return
    let job = open.get(pack)
    if (job === undefined) open.set(pack, (job = { files: new Map(), pages: [], parts: [] }))
    const file = fileNumber(job, path)
    if ('slot' in piece) job.pages.push(file, piece.record, piece.slot, piece.count, piece.startPage)
    else job.parts.push(file, piece.record, piece.count)
  })
  return [...open]
    .toSorted(([left], [right]) => left - right)
    .map(([pack, job]) => ({
      pack,
      files: [...job.files.keys()],
      pageRows: byPosition(job.pages),
      fileRows: Uint32Array.from(job.parts),
    }))
}

interface OpenJob {
  readonly files: Map<string, number>
  readonly pages: number[]
  readonly parts: number[]
}

type Piece =
  | { readonly record: number; readonly slot: number; readonly count: number; readonly startPage: number }
  | { readonly record: number; readonly count: number }

function forEachPiece(
  files: Iterable<ManifestFile>,
  wantedOf: WantedOf,
  visit: (pack: number, path: string, piece: Piece) => void,
): void {
  let number = -1
  for (const file of files) {
    number += 1
    const wanted = file.kind === 'directory' ? undefined : wantedOf(number)
    if (file.kind === 'directory' || wanted === undefined) continue
    const pieces = wantedPieces(file, wanted)
    for (const piece of pieces.kind === 'pages' ? pieces.map : pieces.parts) visit(piece.pack, file.path, piece)
  }
}

/** Rows in the order in which their pages lie in the pack, so that each record is opened once. */
function byPosition(rows: readonly number[]): Uint32Array {
  const order = Array.from({ length: rows.length / pageRowLength }, (_, row) => row * pageRowLength)
  const position = (at: number): number => (rows[at + 1] ?? 0) * pagesPerRecord + (rows[at + 2] ?? 0)
  order.sort((left, right) => position(left) - position(right))
  const sorted = new Uint32Array(rows.length)
  for (const [row, at] of order.entries()) sorted.set(rows.slice(at, at + pageRowLength), row * pageRowLength)
  return sorted
}

function fileNumber(job: OpenJob, path: string): number {
  const known = job.files.get(path)
  if (known !== undefined) return known
  const number = job.files.size
  job.files.set(path, number)
  return number
}
