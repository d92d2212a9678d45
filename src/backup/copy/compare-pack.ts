import { closeSync, openSync, readSync } from 'node:fs'
import { join } from 'node:path'
import type { Keyring } from '../../repository/keyring.ts'
import { type OpenPack, openPack, type PackRecord } from '../../repository/pack-reader.ts'
import { Fault } from '../../std/fault.ts'
import { firstBlockOf, parseRelationFile } from '../core/relation-file.ts'
import type { TakenPack, TakenPiece } from '../core/taken-over.ts'
import type { ChecksumKernel } from '../page/checksum-kernel.ts'
import { pageBytes } from '../page/checksum-page.ts'
import { scanPages } from '../page/scan-pages.ts'
import type { ComparedPack } from './copy-protocol.ts'

export interface ComparePlace {
  readonly dataDirectory: string
  readonly checkedBlocksPerSegment: number | undefined
}

/**
 * Compares a pack of a backup that did not come to its end with the data directory. What is byte for byte the same, and
 * has good checksums, stands for a copy that would be made now, whoever made this one, from which node, and when.
 */
export function comparePack(
  keyring: Keyring,
  { objectKey, bytes }: { readonly objectKey: string; readonly bytes: Uint8Array },
  place: ComparePlace,
  kernel: ChecksumKernel,
): ComparedPack {
  const pack = openUnlessDamaged(keyring, objectKey, bytes)
  if (pack === undefined) return { objectKey, sha256: '', sizeBytes: bytes.length, taken: undefined }
  using files = new FilesNow(place, kernel)
  const pages: { path: string; rows: number[] }[] = []
  const pieces: TakenPiece[] = []
  for (const [record, description] of pack.records.entries()) {
    if (description.type === 'file') {
      const piece = comparePiece(pack, record, description, files)
      if (piece !== undefined) pieces.push(piece)
    } else if (description.type === 'pages' || description.type === 'scattered-pages') {
      const rows = comparePages(pack, record, description, files)
      if (rows.length > 0) addRows(pages, description.meta.path, rows)
    }
  }
  return { objectKey, sha256: pack.sha256, sizeBytes: bytes.length, taken: { pages, pieces } satisfies TakenPack }
}

function openUnlessDamaged(keyring: Keyring, objectKey: string, bytes: Uint8Array): OpenPack | undefined {
  try {
    return openPack(keyring, objectKey, bytes)
  } catch (error) {
    if (error instanceof Fault) return undefined
    throw error
  }
}

/** The content of a record; undefined where it does not open. */
function readUnlessDamaged(pack: OpenPack, record: number): Uint8Array | undefined {
  try {
    return pack.read(record)
  } catch (error) {
    if (error instanceof Fault) return undefined
    throw error
  }
}

function comparePiece(
  pack: OpenPack,
  record: number,
  { meta, rawBytes }: Extract<PackRecord, { type: 'file' }>,
  files: FilesNow,
): TakenPiece | undefined {
  const now = files.read(meta.path, meta.offset, rawBytes)
  const then = now === undefined ? undefined : readUnlessDamaged(pack, record)
  if (now === undefined || then === undefined || Buffer.compare(then, now) !== 0) return undefined
  if (!files.isIntact(meta.path, meta.offset, rawBytes)) return undefined
  return { path: meta.path, offset: meta.offset, lengthBytes: rawBytes, record }
}

/** Of consecutive pages all or none, so that maps do not fall into pieces; of scattered ones each for itself. */
function comparePages(
  pack: OpenPack,
  record: number,
  description: Extract<PackRecord, { type: 'pages' | 'scattered-pages' }>,
  files: FilesNow,
): number[] {
  const { path } = description.meta
  if (description.type === 'pages') {
    const { firstPage, pageCount } = description.meta
    const length = pageCount * pageBytes
    const now = files.read(path, firstPage * pageBytes, length)
    const then = now === undefined ? undefined : readUnlessDamaged(pack, record)
    if (now === undefined || then === undefined || Buffer.compare(then, now) !== 0) return []
    return files.isIntact(path, firstPage * pageBytes, length) ? [firstPage, pageCount, record, 0] : []
  }
  const then = readUnlessDamaged(pack, record)
  if (then === undefined) return []
  return description.meta.pages.flatMap((page, slot) => {
    const now = files.read(path, page * pageBytes, pageBytes)
    const same = now !== undefined && Buffer.compare(then.subarray(slot * pageBytes, (slot + 1) * pageBytes), now) === 0
    return same && files.isIntact(path, page * pageBytes, pageBytes) ? [page, 1, record, slot] : []
  })
}

function addRows(pages: { path: string; rows: number[] }[], path: string, rows: readonly number[]): void {
  const last = pages.at(-1)
  if (last?.path === path) last.rows.push(...rows)
  else pages.push({ path, rows: [...rows] })
}

/** Reads pieces of files, one file after the other, into the memory of the checksum kernel. */
class FilesNow implements Disposable {
  readonly #place: ComparePlace
  readonly #kernel: ChecksumKernel
  #path: string | undefined
  #descriptor: number | undefined

  constructor(place: ComparePlace, kernel: ChecksumKernel) {
    this.#place = place
    this.#kernel = kernel
  }

  /** Undefined when the file does not have all of that. Good until the next call. */
  read(path: string, offset: number, length: number): Uint8Array | undefined {
    if (length > this.#kernel.pages.length) return undefined
    const descriptor = this.#open(path)
    if (descriptor === undefined) return undefined
    const target = this.#kernel.pages.subarray(0, length)
    for (let done = 0; done < length;) {
      const count = readSync(descriptor, target, done, length - done, offset + done)
      if (count === 0) return undefined
      done += count
    }
    return target
  }

  /** Whether the checksums of the pages that were read last are good, where there are any. */
  isIntact(path: string, offset: number, length: number): boolean {
    const relation = parseRelationFile(path)
    const { checkedBlocksPerSegment } = this.#place
    if (relation === undefined || checkedBlocksPerSegment === undefined) return true
    if (offset % pageBytes !== 0 || length % pageBytes !== 0) return false
    const firstBlock = firstBlockOf(relation, checkedBlocksPerSegment) + offset / pageBytes
    return scanPages(this.#kernel.pages, this.#kernel.checksums(length / pageBytes, firstBlock)).length === 0
  }

  /** A file that cannot be opened, for whatever reason, is nothing to take over; who copies it will say why. */
  #open(path: string): number | undefined {
    if (this.#path === path) return this.#descriptor
    this.#close()
    this.#path = path
    try {
      this.#descriptor = openSync(join(this.#place.dataDirectory, path), 'r')
    } catch {
      this.#descriptor = undefined
    }
    return this.#descriptor
  }

  #close(): void {
    if (this.#descriptor !== undefined) closeSync(this.#descriptor)
    this.#descriptor = undefined
  }

  [Symbol.dispose](): void {
    this.#close()
  }
}
