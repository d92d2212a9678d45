import { fromHex, toHex } from './hex.ts'
import { Malformed } from './malformed.ts'

/**
 * The binary frame of a pack, the one container of every encrypted object: header, sealed records, sealed index,
 * trailer. All integers are little-endian. `docs/design/repository-format.md` has the same tables in prose.
 */
export const packVersion = 1
/** AES-256-GCM, HKDF-SHA-256, zstd: the only suite so far. */
export const packSuite = 1
export const packHeaderBytes = 64
export const packTrailerBytes = 56
/** The trailer's hash covers everything before it, the trailer's own first fields included. */
export const packHashEndBytes = 40
export const tagBytes = 16
/** The index is sealed under a record number that no record can have. */
export const indexRecordNumber = 0xffff_ffff
/** A limit for readers, so that a wrong length cannot make them allocate without bound. */
export const maxRecordBytes = 16 * 1024 * 1024
export const maxMetaBytes = 0xffff
export const maxPackBytes = 0x7fff_ffff

const headerMagic = 'HOLDPACK'
const trailerMagic = 'KCAPDLOH'
const entryBytes = 16

export const recordTypeCodes = {
  index: 0,
  pages: 1,
  'scattered-pages': 2,
  file: 3,
  manifest: 4,
  wal: 5,
  history: 6,
} as const
export type RecordType = Exclude<keyof typeof recordTypeCodes, 'index'>

export const codecCodes = { none: 0, zstd: 1 } as const
export type Codec = keyof typeof codecCodes

export interface PackHeader {
  /** 32 hexadecimal digits. */
  readonly keyId: string
  readonly salt: Uint8Array
}

export interface PackTrailer {
  readonly indexOffset: number
  readonly indexBytes: number
  readonly recordCount: number
  readonly sha256: Uint8Array
}

/** One line of the index: where a record is and what it holds. */
export interface RecordEntry {
  readonly type: RecordType
  readonly codec: Codec
  readonly offset: number
  /** Length in the pack: ciphertext and tag. */
  readonly storedBytes: number
  /** Length of the plain content. */
  readonly rawBytes: number
  readonly meta: Uint8Array
}

export function encodePackHeader(header: PackHeader): Uint8Array {
  const bytes = new Uint8Array(packHeaderBytes)
  const view = new DataView(bytes.buffer)
  writeAscii(bytes, 0, headerMagic)
  view.setUint16(8, packVersion, true)
  view.setUint16(10, packSuite, true)
  bytes.set(fromHex(header.keyId), 16)
  bytes.set(header.salt, 32)
  return bytes
}

export function decodePackHeader(pack: Uint8Array): PackHeader {
  const view = viewOf(pack)
  if (pack.length < packHeaderBytes) throw new Malformed('truncated', `${pack.length} bytes are too few for a header`)
  if (readAscii(pack, 0, 8) !== headerMagic) throw new Malformed('altered', 'it does not begin as a pack does')
  const version = view.getUint16(8, true)
  if (version !== packVersion) throw new Malformed('unsupported', `pack version ${version} is unknown`)
  const suite = view.getUint16(10, true)
  if (suite !== packSuite) throw new Malformed('unsupported', `cipher suite ${suite} is unknown`)
  if (view.getUint32(12, true) !== 0) throw new Malformed('altered', 'reserved bytes of the header are not zero')
  return { keyId: toHex(pack.subarray(16, 32)), salt: pack.slice(32, 64) }
}

/** The trailer's first fields, which the hash covers; {@link encodePackTrailerEnd} gives the rest. */
export function encodePackTrailerStart(trailer: Omit<PackTrailer, 'sha256'>): Uint8Array {
  const bytes = new Uint8Array(16)
  const view = new DataView(bytes.buffer)
  view.setUint32(0, trailer.indexOffset, true)
  view.setUint32(4, trailer.indexBytes, true)
  view.setUint32(8, trailer.recordCount, true)
  return bytes
}

export function encodePackTrailerEnd(sha256: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(packHashEndBytes)
  bytes.set(sha256, 0)
  writeAscii(bytes, 32, trailerMagic)
  return bytes
}

/** The trailer, or undefined when the bytes do not end as a pack does. */
export function decodePackTrailer(pack: Uint8Array): PackTrailer | undefined {
  const start = pack.length - packTrailerBytes
  if (start < packHeaderBytes + tagBytes || readAscii(pack, pack.length - 8, 8) !== trailerMagic) return undefined
  const view = viewOf(pack)
  if (view.getUint32(start + 12, true) !== 0)
    throw new Malformed('altered', 'reserved bytes of the trailer are not zero')
  return {
    indexOffset: view.getUint32(start, true),
    indexBytes: view.getUint32(start + 4, true),
    recordCount: view.getUint32(start + 8, true),
    sha256: pack.slice(start + 16, start + 48),
  }
}

/** Checks that the trailer's places make sense in a pack of this size. */
export function assertTrailerFits(trailer: PackTrailer, packBytes: number): void {
  const end = trailer.indexOffset + trailer.indexBytes
  const fits =
    trailer.indexOffset >= packHeaderBytes && trailer.indexBytes >= tagBytes && end === packBytes - packTrailerBytes
  if (!fits) throw new Malformed('altered', 'the trailer points outside the pack')
}

/** One line of the index; the index is these, one behind the other. */
export function encodePackEntry(entry: RecordEntry): Uint8Array {
  const bytes = new Uint8Array(entryBytes + entry.meta.length)
  const view = new DataView(bytes.buffer)
  view.setUint8(0, recordTypeCodes[entry.type])
  view.setUint8(1, codecCodes[entry.codec])
  view.setUint16(2, entry.meta.length, true)
  view.setUint32(4, entry.offset, true)
  view.setUint32(8, entry.storedBytes, true)
  view.setUint32(12, entry.rawBytes, true)
  bytes.set(entry.meta, entryBytes)
  return bytes
}

/** Reads the index and checks that the records lie one behind the other from the header to the index. */
export function decodePackIndex(index: Uint8Array, trailer: PackTrailer): RecordEntry[] {
  const view = viewOf(index)
  const entries: RecordEntry[] = []
  let at = 0
  let offset = packHeaderBytes
  while (at < index.length) {
    const entry = decodeEntry(index, view, at)
    const number = entries.length
    if (entry.offset !== offset) throw new Malformed('altered', `record ${number} is not where the one before it ends`)
    if (entry.rawBytes > maxRecordBytes)
      throw new Malformed('altered', `record ${number} claims ${entry.rawBytes} bytes`)
    const sizesFit =
      entry.storedBytes >= tagBytes && (entry.codec !== 'none' || entry.storedBytes === entry.rawBytes + tagBytes)
    if (!sizesFit) throw new Malformed('altered', `record ${number} has lengths that cannot be`)
    entries.push(entry)
    offset += entry.storedBytes
    at += entryBytes + entry.meta.length
  }
  if (entries.length !== trailer.recordCount || offset !== trailer.indexOffset) {
    throw new Malformed('altered', 'the index does not describe all of the pack')
  }
  return entries
}

function decodeEntry(index: Uint8Array, view: DataView, at: number): RecordEntry {
  if (at + entryBytes > index.length) throw new Malformed('altered', 'the index ends within an entry')
  const metaEnd = at + entryBytes + view.getUint16(at + 2, true)
  if (metaEnd > index.length) throw new Malformed('altered', 'the index ends within an entry')
  return {
    type: recordTypeOf(view.getUint8(at)),
    codec: codecOf(view.getUint8(at + 1)),
    offset: view.getUint32(at + 4, true),
    storedBytes: view.getUint32(at + 8, true),
    rawBytes: view.getUint32(at + 12, true),
    meta: index.slice(at + entryBytes, metaEnd),
  }
}

function recordTypeOf(code: number): RecordType {
  for (const [type, known] of Object.entries(recordTypeCodes)) {
    if (known === code && type !== 'index') return type as RecordType
  }
  throw new Malformed('unsupported', `record type ${code} is unknown`)
}

function codecOf(code: number): Codec {
  if (code === codecCodes.none) return 'none'
  if (code === codecCodes.zstd) return 'zstd'
  throw new Malformed('unsupported', `codec ${code} is unknown`)
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}

function writeAscii(bytes: Uint8Array, at: number, text: string): void {
  bytes.set(new TextEncoder().encode(text), at)
}

function readAscii(bytes: Uint8Array, at: number, length: number): string {
  return String.fromCharCode(...bytes.subarray(at, at + length))
}
