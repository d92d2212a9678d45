import { crc32cFinish, crc32cStart, crc32cUpdate } from './crc32c.ts'
import type { Lsn, TimelineId } from './lsn.ts'
import { parsePageHeader, shortHeaderBytes, walPageBytes } from './page-header.ts'
import type { WalPageHeader } from './page-header.ts'
import { isSegmentSwitch, parseRecordHeader, recordChecksumOffset, recordHeaderBytes } from './record-header.ts'
import type { WalRecordHeader } from './record-header.ts'

/** Where WAL pages come from. */
export interface WalPages {
  readonly segmentBytes: number
  /** The 8 KiB page that begins at an LSN; undefined when there is none. */
  page(lsn: Lsn): Uint8Array | undefined
}

export interface WalRecord extends WalRecordHeader {
  readonly lsn: Lsn
  /** Where the next record may begin. */
  readonly endLsn: Lsn
  readonly timeline: TimelineId
}

/** Why reading stopped, and the end of the last whole and correct record before it. */
export interface WalEnd {
  readonly endLsn: Lsn
  /** The last record; undefined when there was none. */
  readonly lastRecordLsn: Lsn | undefined
  readonly reason: 'no-page' | 'foreign-page' | 'no-record' | 'bad-record' | 'bad-checksum'
  /** A record that begins at `endLsn` and whose rest was not there. */
  readonly incomplete: boolean
}

type Stop = Pick<WalEnd, 'reason' | 'incomplete'>

/**
 * Reads records in order, checking each as the server does when it recovers (page headers, the link to the record
 * before, CRC-32C), and returns where the valid WAL ends. `from` must be the beginning of a record or of a page: from a
 * page, the rest of a record that began earlier is passed over. Source: XLogDecodeNextRecord in xlogreader.c.
 */
export function* readRecords(
  pages: WalPages,
  from: Lsn,
  systemIdentifier?: bigint,
): Generator<WalRecord, WalEnd, void> {
  const reader = new PageReader(pages, systemIdentifier)
  let lsn = from
  let lastRecordLsn: Lsn | undefined
  const start = from % BigInt(walPageBytes) === 0n ? skipContinued(reader, from) : from
  if (typeof start !== 'bigint') return { endLsn: from, lastRecordLsn, ...start }
  lsn = start
  for (;;) {
    const result = readRecord(reader, lsn, lastRecordLsn)
    if ('reason' in result) return { endLsn: lsn, lastRecordLsn, ...result }
    yield result
    lastRecordLsn = result.lsn
    lsn = result.endLsn
  }
}

/** The end of the valid WAL in some pages; see {@link readRecords}. */
export function findEndOfWal(pages: WalPages, from: Lsn, systemIdentifier?: bigint): WalEnd {
  const records = readRecords(pages, from, systemIdentifier)
  for (;;) {
    const next = records.next()
    if (next.done === true) return next.value
  }
}

/** Pages of one segment's bytes, or of its beginning. */
export function pagesOfSegment(bytes: Uint8Array, segmentLsn: Lsn, segmentBytes: number): WalPages {
  return {
    segmentBytes,
    page: (lsn) => {
      const offset = Number(lsn - segmentLsn)
      if (offset < 0 || offset + walPageBytes > bytes.length) return undefined
      return bytes.subarray(offset, offset + walPageBytes)
    },
  }
}

function isBlank(page: Uint8Array): boolean {
  return page.subarray(0, shortHeaderBytes).every((byte) => byte === 0)
}

/** Gives checked pages, and remembers the last one. */
class PageReader {
  readonly #pages: WalPages
  readonly #systemIdentifier: bigint | undefined
  #last: { readonly lsn: Lsn; readonly bytes: Uint8Array; readonly header: WalPageHeader } | undefined

  constructor(pages: WalPages, systemIdentifier: bigint | undefined) {
    this.#pages = pages
    this.#systemIdentifier = systemIdentifier
  }

  get segmentBytes(): number {
    return this.#pages.segmentBytes
  }

  at(lsn: Lsn): { readonly bytes: Uint8Array; readonly header: WalPageHeader } | Stop {
    if (this.#last?.lsn === lsn) return this.#last
    const bytes = this.#pages.page(lsn)
    if (bytes === undefined) return { reason: 'no-page', incomplete: false }
    // The WAL ended with the page before: nothing was ever written here.
    if (isBlank(bytes)) return { reason: 'no-record', incomplete: false }
    const header = parsePageHeader(bytes)
    if (header === undefined || !this.#belongs(header, lsn)) return { reason: 'foreign-page', incomplete: false }
    this.#last = { lsn, bytes, header }
    return this.#last
  }

  #belongs(header: WalPageHeader, lsn: Lsn): boolean {
    if (header.lsn !== lsn) return false
    const first = lsn % BigInt(this.#pages.segmentBytes) === 0n
    if (header.segment === undefined) return !first
    if (header.segment.segmentBytes !== this.#pages.segmentBytes) return false
    return this.#systemIdentifier === undefined || header.segment.systemIdentifier === this.#systemIdentifier
  }
}

/** The LSN of the first record that begins on a page or after it. */
function skipContinued(reader: PageReader, pageLsn: Lsn): Lsn | Stop {
  let at = pageLsn
  for (;;) {
    const page = reader.at(at)
    if ('reason' in page) return page
    const { continuedBytes, headerBytes } = page.header
    if (headerBytes + continuedBytes <= walPageBytes) {
      const begin = at + BigInt(headerBytes) + BigInt(align8(continuedBytes))
      return begin as Lsn
    }
    at = (at + BigInt(walPageBytes)) as Lsn
  }
}

function readRecord(reader: PageReader, from: Lsn, previous: Lsn | undefined): WalRecord | Stop {
  let lsn = from
  for (;;) {
    const pieces = collect(reader, lsn)
    if ('restartLsn' in pieces) {
      lsn = pieces.restartLsn
      continue
    }
    if ('reason' in pieces) return pieces
    const { header, timeline, endLsn } = pieces
    if (previous === undefined ? header.previousLsn >= lsn : header.previousLsn !== previous) {
      return { reason: 'bad-record', incomplete: false }
    }
    if (checksum(pieces.parts) !== header.checksum) return { reason: 'bad-checksum', incomplete: false }
    return {
      ...header,
      lsn: pieces.lsn,
      endLsn: isSegmentSwitch(header) ? nextSegment(endLsn, reader) : endLsn,
      timeline,
    }
  }
}

interface Pieces {
  readonly lsn: Lsn
  readonly endLsn: Lsn
  readonly timeline: TimelineId
  readonly header: WalRecordHeader
  readonly parts: readonly Uint8Array[]
}

/** The bytes of the record that begins at an LSN, from all the pages it lies on, page headers left out. */
function collect(reader: PageReader, lsn: Lsn): Pieces | Stop | { readonly restartLsn: Lsn } {
  const pageLsn = (lsn - (lsn % BigInt(walPageBytes))) as Lsn
  const first = reader.at(pageLsn)
  if ('reason' in first) return first
  const begin = lsn === pageLsn ? first.header.headerBytes : Number(lsn - pageLsn)
  const recordLsn = (pageLsn + BigInt(begin)) as Lsn
  if (begin < first.header.headerBytes) return { reason: 'bad-record', incomplete: false }
  if (lsn === pageLsn && first.header.continuedBytes > 0) return { reason: 'bad-record', incomplete: false }
  const totalBytes = new DataView(first.bytes.buffer, first.bytes.byteOffset).getUint32(begin, true)
  if (totalBytes === 0) return { reason: 'no-record', incomplete: false }
  if (totalBytes < recordHeaderBytes) return { reason: 'bad-record', incomplete: false }
  const parts = [first.bytes.subarray(begin, Math.min(walPageBytes, begin + totalBytes))]
  let gotBytes = parts[0]!.length
  let endLsn = (recordLsn + BigInt(align8(gotBytes))) as Lsn
  let header = gotBytes >= recordHeaderBytes ? parseRecordHeader(parts[0]!) : undefined
  if (gotBytes >= recordHeaderBytes && header === undefined) return { reason: 'bad-record', incomplete: false }
  for (
    let at = (pageLsn + BigInt(walPageBytes)) as Lsn;
    gotBytes < totalBytes;
    at = (at + BigInt(walPageBytes)) as Lsn
  ) {
    const page = reader.at(at)
    if ('reason' in page) return { ...page, incomplete: true }
    if (page.header.overwritesContinued) return { restartLsn: at }
    if (page.header.continuedBytes !== totalBytes - gotBytes) return { reason: 'bad-record', incomplete: true }
    const { headerBytes } = page.header
    const part = page.bytes.subarray(headerBytes, Math.min(walPageBytes, headerBytes + totalBytes - gotBytes))
    parts.push(part)
    gotBytes += part.length
    endLsn = (at + BigInt(headerBytes + align8(part.length))) as Lsn
    header ??= parseRecordHeader(joinStart(parts))
    if (header === undefined) return { reason: 'bad-record', incomplete: false }
  }
  if (header === undefined) return { reason: 'bad-record', incomplete: false }
  return { lsn: recordLsn, endLsn, timeline: first.header.timeline, header, parts }
}

function joinStart(parts: readonly Uint8Array[]): Uint8Array {
  const start = new Uint8Array(recordHeaderBytes)
  let filled = 0
  for (const part of parts) {
    start.set(part.subarray(0, recordHeaderBytes - filled), filled)
    filled = Math.min(recordHeaderBytes, filled + part.length)
  }
  return start
}

/** Data first, then the header up to the checksum itself. */
function checksum(parts: readonly Uint8Array[]): number {
  let state = crc32cStart
  let skip = recordHeaderBytes
  for (const part of parts) {
    state = crc32cUpdate(state, part, Math.min(skip, part.length), part.length)
    skip = Math.max(0, skip - part.length)
  }
  const start = parts[0]!.length >= recordHeaderBytes ? parts[0]! : joinStart(parts)
  return crc32cFinish(crc32cUpdate(state, start, 0, recordChecksumOffset))
}

function nextSegment(lsn: Lsn, reader: PageReader): Lsn {
  const size = BigInt(reader.segmentBytes)
  return (((lsn + size - 1n) / size) * size) as Lsn
}

function align8(bytes: number): number {
  return (bytes + 7) & ~7
}
