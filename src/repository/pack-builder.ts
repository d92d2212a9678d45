import { createHash, randomBytes } from 'node:crypto'
import { constants, zstdCompressSync } from 'node:zlib'
import {
  encodePackHeader,
  encodePackIndex,
  encodePackTrailerEnd,
  encodePackTrailerStart,
  indexRecordNumber,
  maxMetaBytes,
  maxPackBytes,
  maxRecordBytes,
  packHeaderBytes,
  packTrailerBytes,
  tagBytes,
  type Codec,
  type RecordEntry,
} from './core/pack-layout.ts'
import { encodeRecordMeta, type RecordDescription } from './core/record.ts'
import type { Keyring } from './keyring.ts'
import { derivePackCipher, sealRecord } from './pack-cipher.ts'

/** Makes one pack in memory, synchronously, so that it can run in a worker thread. */
export interface PackBuilder {
  readonly objectKey: string
  readonly recordCount: number
  /** The size of the pack if it were finished now. */
  readonly sizeBytes: number
  /** Compresses and seals a record; gives its number. At most {@link maxRecordBytes} of content. */
  add(record: RecordDescription & { readonly plain: Uint8Array }): number
  /** The whole object. The builder is used up. */
  finish(): FinishedPack
}

export interface FinishedPack {
  readonly objectKey: string
  /** Has an ArrayBuffer of its own, which may be transferred to another thread. */
  readonly bytes: Uint8Array
  /** Of all bytes, in hexadecimal. */
  readonly sha256: string
  readonly sizeBytes: number
}

const compressionLevel = 3

export function createPackBuilder(keyring: Keyring, objectKey: string): PackBuilder {
  const salt = randomBytes(32)
  const cipher = derivePackCipher(keyring.current.key, { repositoryId: keyring.repositoryId, objectKey, salt })
  const parts: Uint8Array[] = [encodePackHeader({ keyId: keyring.current.id, salt })]
  const entries: RecordEntry[] = []
  let offset = packHeaderBytes
  let indexBytes = tagBytes
  let finished = false
  return {
    objectKey,
    get recordCount() {
      return entries.length
    },
    get sizeBytes() {
      return offset + indexBytes + packTrailerBytes
    },
    add(record) {
      const meta = encodeRecordMeta(record)
      if (finished) throw new Error('the pack is finished')
      if (record.plain.length > maxRecordBytes) throw new Error(`a record of ${record.plain.length} bytes is too large`)
      if (meta.length > maxMetaBytes) throw new Error(`a record's description of ${meta.length} bytes is too large`)
      const number = entries.length
      const { codec, body } = compress(record.plain)
      const sealed = sealRecord(cipher, { number, type: record.type }, body)
      const storedBytes = body.length + tagBytes
      if (offset + storedBytes > maxPackBytes) throw new Error('the pack is too large')
      entries.push({ type: record.type, codec, offset, storedBytes, rawBytes: record.plain.length, meta })
      parts.push(...sealed)
      offset += storedBytes
      indexBytes += 16 + meta.length
      return number
    },
    finish() {
      if (finished) throw new Error('the pack is finished')
      finished = true
      const index = sealRecord(cipher, { number: indexRecordNumber, type: 'index' }, encodePackIndex(entries))
      const trailer = encodePackTrailerStart({ indexOffset: offset, indexBytes, recordCount: entries.length })
      return seal(objectKey, [...parts, ...index, trailer])
    },
  }
}

/** Data that zstd cannot make smaller is stored as it is: that reads faster. */
function compress(plain: Uint8Array): { readonly codec: Codec; readonly body: Uint8Array } {
  if (plain.length === 0) return { codec: 'none', body: plain }
  const compressed = zstdCompressSync(plain, {
    // An output buffer that surely holds everything saves zlib from collecting pieces.
    chunkSize: plain.length + (plain.length >> 7) + 1024,
    params: { [constants.ZSTD_c_compressionLevel]: compressionLevel },
  })
  return compressed.length < plain.length ? { codec: 'zstd', body: compressed } : { codec: 'none', body: plain }
}

/** Joins the parts and ends the pack with its hash; one pass gives both that hash and the one of the whole object. */
function seal(objectKey: string, parts: readonly Uint8Array[]): FinishedPack {
  const hash = createHash('sha256')
  const sizeBytes = parts.reduce((sum, part) => sum + part.length, 0) + packTrailerBytes - 16
  const bytes = Buffer.allocUnsafeSlow(sizeBytes)
  let at = 0
  for (const part of parts) {
    bytes.set(part, at)
    at += part.length
  }
  hash.update(bytes.subarray(0, at))
  const end = encodePackTrailerEnd(hash.copy().digest())
  bytes.set(end, at)
  return { objectKey, bytes, sha256: hash.update(end).digest('hex'), sizeBytes }
}
