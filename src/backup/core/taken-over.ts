import type { FilePart } from '../../repository/core/manifest.ts'
import { buildPageMap, clipPageMap, type PageMap, type PageRun } from '../../repository/core/page-map.ts'

/** What one pack of a backup that did not come to its end has, and the data directory still has just like that. */
export interface TakenPack {
  /** Runs of equal pages, by file: rows of first page, count, record, slot. */
  readonly pages: readonly { readonly path: string; readonly rows: readonly number[] }[]
  /** Equal pieces of files that are stored whole. */
  readonly pieces: readonly TakenPiece[]
}

export interface TakenPiece {
  readonly path: string
  readonly offset: number
  readonly lengthBytes: number
  readonly record: number
}

const rowLength = 4

/** Collects what is taken over, and gives it away file by file. */
export class TakenOver {
  readonly #pages = new Map<string, { readonly pack: string; readonly rows: readonly number[] }[]>()
  readonly #pieces = new Map<string, (TakenPiece & { readonly pack: string })[]>()

  /** `pack` is the key of the pack. */
  add(pack: string, taken: TakenPack): void {
    for (const { path, rows } of taken.pages) push(this.#pages, path, { pack, rows })
    for (const piece of taken.pieces) push(this.#pieces, piece.path, { ...piece, pack })
  }

  /** Pages of a file that is taken page by page; may be asked once. `numberOf` is asked for the packs that are used. */
  takePages(path: string, pageCount: number, numberOf: (pack: string) => number): PageMap {
    const pages = this.#pages.get(path) ?? []
    this.#pages.delete(path)
    return mapOf(pages, pageCount, numberOf)
  }

  /** All of a file that is stored whole, or undefined; may be asked once. */
  takeWhole(path: string, sizeBytes: number, numberOf: (pack: string) => number): readonly FilePart[] | undefined {
    const pieces = this.#pieces.get(path)
    this.#pieces.delete(path)
    const kept = inOrder(pieces ?? [])
    const end = kept.reduce((sum, { lengthBytes }) => sum + lengthBytes, 0)
    if (kept.length === 0 || end !== sizeBytes) return undefined
    return kept.map(({ pack, record }) => ({ pack: numberOf(pack), record, count: 1 }))
  }
}

/** Several backups that died may have the same page: any of them is as good. */
function mapOf(
  all: readonly { readonly pack: string; readonly rows: readonly number[] }[],
  pageCount: number,
  numberOf: (pack: string) => number,
): PageMap {
  const runs: (PageRun & { readonly key: string })[] = []
  for (const { pack: key, rows } of all) {
    for (let at = 0; at < rows.length; at += rowLength) {
      const [startPage = 0, count = 0, record = 0, slot = 0] = rows.slice(at, at + rowLength)
      runs.push({ startPage, count, pack: 0, record, slot, key })
    }
  }
  let end = 0
  const kept: PageRun[] = []
  for (const { key, ...run } of runs.toSorted((a, b) => a.startPage - b.startPage)) {
    if (run.startPage < end || run.startPage >= pageCount) continue
    end = run.startPage + run.count
    kept.push({ ...run, pack: numberOf(key) })
  }
  return clipPageMap(buildPageMap(kept), pageCount)
}

/** Pieces that follow each other from the beginning of the file. */
function inOrder<Piece extends TakenPiece>(pieces: readonly Piece[]): readonly Piece[] {
  let end = 0
  return pieces
    .toSorted((a, b) => a.offset - b.offset)
    .filter(({ offset, lengthBytes }) => {
      if (offset !== end || lengthBytes === 0) return false
      end += lengthBytes
      return true
    })
}

function push<Value>(map: Map<string, Value[]>, key: string, value: Value): void {
  const values = map.get(key)
  if (values === undefined) map.set(key, [value])
  else values.push(value)
}
