import type { FilePart } from '../../repository/core/manifest.ts'
import { buildPageMap, type PageMap, type PageRun } from '../../repository/core/page-map.ts'

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

/** What is taken over of one file, in pack numbers of who takes it over. */
export interface TakenFile {
  /** Some of its pages. */
  readonly map: PageMap
  /** All of it, when it is as long as `wholeBytes` says; else there is nothing to be taken over of a whole file. */
  readonly parts: readonly FilePart[]
  readonly wholeBytes: number
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

  /** Undefined when nothing is taken over. May be asked once for a file. */
  take(path: string, numberOf: (pack: string) => number): TakenFile | undefined {
    const pages = this.#pages.get(path)
    const pieces = this.#pieces.get(path)
    this.#pages.delete(path)
    this.#pieces.delete(path)
    if (pages === undefined && pieces === undefined) return undefined
    const { parts, wholeBytes } = joinPieces(pieces ?? [], numberOf)
    return { map: mapOf(pages ?? [], numberOf), parts, wholeBytes }
  }
}

/** Several backups that died may have the same page: any of them is as good. */
function mapOf(
  all: readonly { readonly pack: string; readonly rows: readonly number[] }[],
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
    if (run.startPage < end) continue
    end = run.startPage + run.count
    kept.push({ ...run, pack: numberOf(key) })
  }
  return buildPageMap(kept)
}

function joinPieces(
  pieces: readonly (TakenPiece & { readonly pack: string })[],
  numberOf: (pack: string) => number,
): { readonly parts: readonly FilePart[]; readonly wholeBytes: number } {
  const parts: FilePart[] = []
  let end = 0
  for (const { offset, lengthBytes, pack, record } of pieces.toSorted((a, b) => a.offset - b.offset)) {
    if (offset !== end || lengthBytes === 0) continue
    end += lengthBytes
    parts.push({ pack: numberOf(pack), record, count: 1 })
  }
  return { parts, wholeBytes: end }
}

function push<Value>(map: Map<string, Value[]>, key: string, value: Value): void {
  const values = map.get(key)
  if (values === undefined) map.set(key, [value])
  else values.push(value)
}
