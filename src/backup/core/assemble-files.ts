import type { FilePart, PageFile, WholeFile } from '../../repository/core/manifest.ts'
import {
  buildPageMap,
  clipPageMap,
  type PageMap,
  type PageRun,
  pagesPerRecord,
  renumberPacks,
  withoutPages,
} from '../../repository/core/page-map.ts'
import type { EpochMs } from '../../std/clock.ts'

/** A file as it was listed, and what there is of it in packs. Pack numbers are those of the manifest. */
export interface FileToAssemble {
  readonly path: string
  readonly kind: 'page' | 'whole'
  readonly sizeBytes: number
  readonly mode: number
  readonly modifiedMs: number
  readonly identity?: string | undefined
  /** Pages of the parent, when only those that changed since were copied. */
  readonly parentMap?: PageMap | undefined
  /** Pages that a backup which did not come to its end has copied. */
  readonly takenMap?: PageMap | undefined
  /** The parts that were copied, in any order; of a `whole` file all of it. */
  readonly parts: readonly AssembledPart[]
}

export interface AssembledPart {
  readonly offset: number
  /** What was asked for, and what there was: less when the file had become shorter, undefined when it was gone. */
  readonly wantedBytes: number
  readonly lengthBytes: number | undefined
  /** Record n holds the n-th 256 KiB of the part, or the pages of the file that it names, slot by slot. */
  readonly records: readonly AssembledRecord[]
  /** Of its 256 KiB chunks. */
  readonly hashes: Uint8Array
}

interface AssembledRecord {
  readonly pack: number
  readonly record: number
  readonly pages?: readonly number[]
}

const pageBytes = 8192

/**
 * The manifest's entry of a file, or undefined when the file was gone. A file that became shorter while it was copied
 * ends where the first part fell short: it is as if all of it had been read at that moment, and replay does the rest.
 * `shareOf` gives the number of a parent's pack in this backup's list, and is asked for those only that are needed.
 */
export function assembleFile(
  file: FileToAssemble,
  shareOf: (parentPack: number) => number,
): PageFile | WholeFile | undefined {
  const parts = file.parts.toSorted((a, b) => a.offset - b.offset)
  const end = parts.findIndex((part) => part.lengthBytes !== part.wantedBytes)
  const last = parts[end]
  if (last?.offset === 0 && last.lengthBytes === undefined) return undefined
  const kept = end === -1 ? parts : parts.slice(0, end + 1)
  const sizeBytes = last === undefined ? file.sizeBytes : last.offset + (last.lengthBytes ?? 0)
  const { path, mode, identity } = file
  const times = { modifiedAt: Math.trunc(file.modifiedMs) as EpochMs, ...(identity === undefined ? {} : { identity }) }
  // Of what was taken over it is known that it was like that at some moment of this backup, not at which.
  const hashes = file.takenMap === undefined ? { hashes: joinHashes(kept) } : {}
  const common = { path, sizeBytes, mode, ...times, ...hashes }
  if (file.kind === 'whole') {
    return { kind: 'whole', ...common, parts: joinRecords(kept.flatMap((part) => part.records)) }
  }
  const pageCount = sizeBytes / pageBytes
  const copied = buildPageMap(kept.flatMap(runsOf))
  const taken = withoutPages(clipPageMap(file.takenMap ?? [], pageCount), copied)
  const own = taken.length === 0 ? copied : buildPageMap([...taken, ...copied])
  const shared = withoutPages(clipPageMap(file.parentMap ?? [], pageCount), own)
  return { kind: 'pages', ...common, map: buildPageMap([...renumberPacks(shared, shareOf), ...own]) }
}

/** The entry of a file all of which is the parent's. */
export function shareFile(
  file: PageFile | WholeFile,
  mode: number,
  shareOf: (parentPack: number) => number,
): PageFile | WholeFile {
  return file.kind === 'pages'
    ? { ...file, mode, map: renumberPacks(file.map, shareOf) }
    : { ...file, mode, parts: file.parts.map((part) => ({ ...part, pack: shareOf(part.pack) })) }
}

function runsOf(part: AssembledPart): PageRun[] {
  const pageCount = (part.lengthBytes ?? 0) / pageBytes
  return part.records.flatMap(({ pack, record, pages }, index) => {
    if (pages !== undefined) return pages.map((page, slot) => ({ startPage: page, count: 1, pack, record, slot }))
    return {
      startPage: part.offset / pageBytes + index * pagesPerRecord,
      count: Math.min(pagesPerRecord, pageCount - index * pagesPerRecord),
      pack,
      record,
      slot: 0,
    }
  })
}

/** Parts begin where chunks do. */
function joinHashes(parts: readonly AssembledPart[]): string {
  return btoa(parts.flatMap(({ hashes }) => Array.from(hashes, (byte) => String.fromCharCode(byte))).join(''))
}

function joinRecords(records: readonly AssembledRecord[]): FilePart[] {
  const parts: FilePart[] = []
  for (const { pack, record } of records) {
    const last = parts.at(-1)
    if (last?.pack === pack && last.record + last.count === record)
      parts[parts.length - 1] = { ...last, count: last.count + 1 }
    else parts.push({ pack, record, count: 1 })
  }
  return parts
}
