import { crc32cFinish, crc32cStart, crc32cUpdate } from '../../wal/core/crc32c.ts'
import { parsePageHeader, shortHeaderBytes, walPageBytes } from '../../wal/core/page-header.ts'
import { recordChecksumOffset, recordHeaderBytes, resourceManagers } from '../../wal/core/record-header.ts'

/**
 * Replaying CREATE TABLESPACE uses the very directory that the original uses: a copy that is recovered on the same
 * machine would write into the files of the running cluster. So a copy never replays such a path. The path in the record
 * is made empty and the record's checksum set right; the server then makes the tablespace *in place*, a directory in
 * `pg_tblspc`. Source: tblspc_redo and create_tablespace_directories in tablespace.c (PostgreSQL 15 and later),
 * XLogRecord in xlogrecord.h.
 */
export interface TablespaceInWal {
  readonly oid: number
  /** Where the original is. */
  readonly location: string
}

export interface MadeInPlace {
  readonly tablespaces: readonly TablespaceInWal[]
  /**
   * A record that goes on in the next segment and creates a tablespace, or may do so: its resource manager then stands
   * that many bytes of the record behind this segment's end.
   */
  readonly cut: 'creates' | { readonly managerAt: number } | undefined
}

const tablespaceManager = 5
const createInfo = 0x00
const shortData = 255
const longestRecord = 2048

/** Changes the records of one segment that create tablespaces. Whatever is no record ends the search, as it ends recovery. */
export function makeTablespacesInPlace(segment: Uint8Array): MadeInPlace {
  const view = new DataView(segment.buffer, segment.byteOffset, segment.byteLength)
  const tablespaces: TablespaceInWal[] = []
  const none = { tablespaces, cut: undefined }
  const first = parsePageHeader(segment)
  if (first === undefined) return none
  let at = firstRecord(view, 0, first.headerBytes)
  while (at + 4 <= segment.length) {
    const totalBytes = view.getUint32(at, true)
    if (totalBytes < recordHeaderBytes) return none
    const givenUp = recordAfterGivenUp(view, at, totalBytes)
    if (givenUp !== undefined) {
      at = givenUp
      continue
    }
    const managerAt = advance(at, 17)
    const end = advance(at, totalBytes - 1) + 1
    if (managerAt >= segment.length) {
      const cut = totalBytes > longestRecord ? undefined : { managerAt: 17 - (segment.length - at) }
      return { tablespaces, cut }
    }
    const manager = segment[managerAt]
    const info = (segment[advance(at, 16)] ?? 0) & 0xf0
    if (manager === resourceManagers.xlog && info === 0x40) return none
    if (manager === tablespaceManager && info === createInfo) {
      if (end > segment.length) return { tablespaces, cut: 'creates' }
      const found = makeInPlace(segment, at, totalBytes)
      if (found !== undefined) tablespaces.push(found)
    }
    at = nextRecord(end)
  }
  return none
}

/** Whether the record that {@link MadeInPlace.cut} speaks of creates a tablespace, by the segment that it goes on in. */
export function goesOnAsTablespace(next: Uint8Array, managerAt: number): boolean {
  const header = parsePageHeader(next)
  return header !== undefined && next[header.headerBytes + managerAt] === tablespaceManager
}

function makeInPlace(segment: Uint8Array, at: number, totalBytes: number): TablespaceInWal | undefined {
  const record = new Uint8Array(totalBytes)
  for (let offset = 0; offset < totalBytes; offset += 1) record[offset] = segment[advance(at, offset)] ?? 0
  const view = new DataView(record.buffer)
  // A record that is not whole is the end of recovery, and must stay that.
  if (view.getUint32(recordChecksumOffset, true) !== checksumOf(record)) return undefined
  const dataAt = record[recordHeaderBytes] === shortData ? recordHeaderBytes + 2 : recordHeaderBytes + 5
  const pathAt = dataAt + 4
  const pathEnd = record.indexOf(0, pathAt)
  const location = new TextDecoder().decode(record.subarray(pathAt, pathEnd === -1 ? undefined : pathEnd))
  if (location === '') return undefined
  record[pathAt] = 0
  view.setUint32(recordChecksumOffset, checksumOf(record), true)
  for (let offset = 0; offset < totalBytes; offset += 1) segment[advance(at, offset)] = record[offset] ?? 0
  return { oid: view.getUint32(dataAt, true), location }
}

/** The data first, then the header up to the checksum. */
function checksumOf(record: Uint8Array): number {
  const state = crc32cUpdate(crc32cStart, record, recordHeaderBytes)
  return crc32cFinish(crc32cUpdate(state, record, 0, recordChecksumOffset))
}

/** Passes over what is left on a page of a record that began before it. */
function firstRecord(view: DataView, page: number, headerBytes: number): number {
  const left = continuedBytes(view, page)
  return left === 0 ? page + headerBytes : nextRecord(advance(page + headerBytes, left - 1) + 1)
}

function continuedBytes(view: DataView, page: number): number {
  return (view.getUint16(page + 2, true) & 1) === 0 ? 0 : view.getUint32(page + 16, true)
}

/** A crash may have cut a record off: the next page then does not go on with it, and has another from its beginning. */
function recordAfterGivenUp(view: DataView, at: number, totalBytes: number): number | undefined {
  const room = walPageBytes - (at % walPageBytes)
  const page = at + room
  if (totalBytes <= room || page >= view.byteLength || continuedBytes(view, page) === totalBytes - room)
    return undefined
  return firstRecord(view, page, shortHeaderBytes)
}

/** The place of the byte that comes `count` bytes of records later: headers of pages lie between. */
function advance(at: number, count: number): number {
  let place = at
  let left = count
  for (;;) {
    const room = walPageBytes - (place % walPageBytes)
    if (left < room) return place + left
    left -= room
    place += room + shortHeaderBytes
  }
}

/** Records begin at multiples of 8, and not in the header of a page. */
function nextRecord(end: number): number {
  const aligned = Math.ceil(end / 8) * 8
  return aligned % walPageBytes === 0 ? aligned + shortHeaderBytes : aligned
}
