import { createHash, randomBytes } from 'node:crypto'
import { releaseMemory } from '../std/release-memory.ts'
import { createZstdCompressor } from '../std/zstd.ts'
import { compressRecord, defaultCompressionLevel, type RecordContent } from './compress-record.ts'
import {
  encodePackEntry,
  encodePackHeader,
  encodePackTrailerEnd,
  encodePackTrailerStart,
  indexRecordNumber,
  maxMetaBytes,
  maxPackBytes,
  maxRecordBytes,
  packTrailerBytes,
  tagBytes,
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
  /** Seals a record that was compressed before. */
  addCompressed(record: RecordDescription, content: RecordContent): number
  /** The whole object. The builder is used up. */
  finish(): FinishedPack
}

export interface PackOptions {
  /** Of zstd, 1 to 19. */
  readonly compressionLevel?: number | undefined
  /** Memory to build the pack in, which the finished pack then has; one that turns out too small is replaced. */
  readonly memory?: ArrayBuffer | undefined
}

export interface FinishedPack {
  readonly objectKey: string
  /** Has an ArrayBuffer of its own, which may be transferred to another thread. */
  readonly bytes: Uint8Array<ArrayBuffer>
  /** Of all bytes, in hexadecimal. */
  readonly sha256: string
  readonly sizeBytes: number
}

export function createPackBuilder(keyring: Keyring, objectKey: string, options: PackOptions = {}): PackBuilder {
  const salt = randomBytes(32)
  const cipher = derivePackCipher(keyring.current.key, { repositoryId: keyring.repositoryId, objectKey, salt })
  const bytes = new GrowingBytes(options.memory)
  bytes.append(encodePackHeader({ keyId: keyring.current.id, salt }))
  const index = new GrowingBytes()
  let recordCount = 0
  const compressor = createZstdCompressor(options.compressionLevel ?? defaultCompressionLevel)
  let finished = false
  const addCompressed = (record: RecordDescription, { codec, body, rawBytes }: RecordContent): number => {
    const meta = encodeRecordMeta(record)
    if (finished) throw new Error('the pack is finished')
    if (rawBytes > maxRecordBytes) throw new Error(`a record of ${rawBytes} bytes is too large`)
    if (meta.length > maxMetaBytes) throw new Error(`a record's description of ${meta.length} bytes is too large`)
    const number = recordCount
    const storedBytes = body.length + tagBytes
    const offset = bytes.length
    if (offset + storedBytes > maxPackBytes) throw new Error('the pack is too large')
    const [ciphertext, tag] = sealRecord(cipher, { number, type: record.type }, body)
    bytes.append(ciphertext)
    bytes.append(tag)
    releaseMemory(ciphertext)
    index.append(encodePackEntry({ type: record.type, codec, offset, storedBytes, rawBytes, meta }))
    recordCount += 1
    return number
  }
  return {
    objectKey,
    get recordCount() {
      return recordCount
    },
    get sizeBytes() {
      return bytes.length + index.length + tagBytes + packTrailerBytes
    },
    add: ({ plain, ...record }) => addCompressed(record, compressRecord(plain, compressor)),
    addCompressed,
    finish() {
      if (finished) throw new Error('the pack is finished')
      finished = true
      const indexOffset = bytes.length
      const sealed = sealRecord(cipher, { number: indexRecordNumber, type: 'index' }, index.view())
      for (const part of sealed) bytes.append(part)
      bytes.append(encodePackTrailerStart({ indexOffset, indexBytes: index.length + tagBytes, recordCount }))
      return seal(objectKey, bytes)
    },
  }
}

/** Ends the pack with its hash; one pass gives both that hash and the one of the whole object. */
function seal(objectKey: string, bytes: GrowingBytes): FinishedPack {
  const hash = createHash('sha256').update(bytes.view())
  const end = encodePackTrailerEnd(hash.copy().digest())
  bytes.append(end)
  const sha256 = hash.update(end).digest('hex')
  return { objectKey, bytes: bytes.view(), sha256, sizeBytes: bytes.length }
}

const firstBytes = 16 * 1024

/** Bytes one behind the other in memory that is made larger as it is needed. */
class GrowingBytes {
  length = 0
  #memory: ArrayBuffer

  constructor(memory: ArrayBuffer = new ArrayBuffer(firstBytes)) {
    this.#memory = memory
  }

  append(part: Uint8Array): void {
    const end = this.length + part.length
    if (end > this.#memory.byteLength) this.#memory = this.#memory.transfer(Math.max(end, 2 * this.#memory.byteLength))
    new Uint8Array(this.#memory, this.length, part.length).set(part)
    this.length = end
  }

  view(): Uint8Array<ArrayBuffer> {
    return new Uint8Array(this.#memory, 0, this.length)
  }
}
