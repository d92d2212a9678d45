import { createHash } from 'node:crypto'
import { releaseMemory } from '../std/release-memory.ts'
import { createZstdDecompressor, type ZstdDecompressor } from '../std/zstd.ts'
import { Malformed } from './core/malformed.ts'
import {
  assertTrailerFits,
  decodePackHeader,
  decodePackIndex,
  decodePackTrailer,
  indexRecordNumber,
  packHashEndBytes,
  type PackTrailer,
  type RecordEntry,
} from './core/pack-layout.ts'
import { decodeRecordMeta, type RecordDescription } from './core/record.ts'
import { decodeObject, objectFault } from './damage.ts'
import type { Keyring } from './keyring.ts'
import { derivePackCipher, unsealRecord, type PackCipher } from './pack-cipher.ts'

/** A pack whose hash and index are proven good. Synchronous, so that it can be used in a worker thread. */
export interface OpenPack {
  readonly objectKey: string
  /** Of all bytes, in hexadecimal. */
  readonly sha256: string
  readonly records: readonly PackRecord[]
  /** The content of a record, authenticated; throws `repository-object-damaged`. */
  read(number: number): Uint8Array
  /** The same, good until the next call: for whoever reads one record after the other. */
  readBriefly(number: number): Uint8Array
}

export type PackRecord = RecordDescription & { readonly rawBytes: number; readonly storedBytes: number }

/** What a commit says about an object. */
export interface ObjectSeal {
  readonly sha256: string
  readonly sizeBytes: number
}

/**
 * Opens the pack that was read from under `objectKey`, and, where a commit says so, is to have this size and hash.
 * Throws `repository-object-damaged` or `repository-key-missing` naming the object.
 */
export function openPack(keyring: Keyring, objectKey: string, bytes: Uint8Array, expected?: ObjectSeal): OpenPack {
  return decodeObject(objectKey, () => {
    const { trailer, sha256 } = verifyHashes(objectKey, bytes, expected)
    const header = decodePackHeader(bytes)
    assertTrailerFits(trailer, bytes.length)
    const dataKey = keyring.keys.find(({ id }) => id === header.keyId)
    if (dataKey === undefined) {
      throw objectFault(
        objectKey,
        'key-missing',
        `it is sealed with the data key ${header.keyId}, which is not at hand`,
      )
    }
    const cipher = derivePackCipher(dataKey.key, { repositoryId: keyring.repositoryId, objectKey, salt: header.salt })
    const entries = readIndex(objectKey, bytes, trailer, cipher)
    const records = entries.map((entry) => ({
      ...decodeRecordMeta(entry.type, entry.meta),
      rawBytes: entry.rawBytes,
      storedBytes: entry.storedBytes,
    }))
    const sealed: SealedPack = { objectKey, bytes, entries, cipher, decompressor: createZstdDecompressor() }
    const readBriefly = (number: number): Uint8Array => readRecord(sealed, number)
    return { objectKey, sha256, records, readBriefly, read: (number) => Uint8Array.from(readBriefly(number)) }
  })
}

/**
 * One pass over the bytes gives the hash in the trailer, which tells damage, and the one of the whole object, which
 * tells whether it is the object that was committed.
 */
function verifyHashes(
  objectKey: string,
  bytes: Uint8Array,
  expected: ObjectSeal | undefined,
): { readonly trailer: PackTrailer; readonly sha256: string } {
  const trailer = decodePackTrailer(bytes)
  const hash = createHash('sha256').update(bytes.subarray(0, Math.max(0, bytes.length - packHashEndBytes)))
  if (trailer === undefined || !hash.copy().digest().equals(trailer.sha256)) {
    const wanted = expected?.sizeBytes ?? Number.NaN
    const short = bytes.length < wanted || (expected === undefined && trailer === undefined)
    const reason = short ? 'it does not have all of its bytes' : 'its bytes are not the ones that were written'
    throw new Malformed(short ? 'truncated' : 'altered', reason)
  }
  const sha256 = hash.update(bytes.subarray(bytes.length - packHashEndBytes)).digest('hex')
  if (expected !== undefined && (sha256 !== expected.sha256 || bytes.length !== expected.sizeBytes)) {
    throw objectFault(objectKey, 'swapped', 'it is whole, but not the object that the backup was committed with')
  }
  return { trailer, sha256 }
}

function readIndex(objectKey: string, bytes: Uint8Array, trailer: PackTrailer, cipher: PackCipher): RecordEntry[] {
  const stored = bytes.subarray(trailer.indexOffset, trailer.indexOffset + trailer.indexBytes)
  const index = unsealRecord(cipher, { number: indexRecordNumber, type: 'index' }, stored)
  if (index === undefined) {
    throw objectFault(objectKey, 'swapped', 'it was written for another name or repository, or forged')
  }
  return decodePackIndex(index, trailer)
}

interface SealedPack {
  readonly objectKey: string
  readonly bytes: Uint8Array
  readonly entries: readonly RecordEntry[]
  readonly cipher: PackCipher
  readonly decompressor: ZstdDecompressor
}

function readRecord({ objectKey, bytes, entries, cipher, decompressor }: SealedPack, number: number): Uint8Array {
  const entry = entries[number]
  if (entry === undefined) throw objectFault(objectKey, 'altered', `it has no record ${number}`)
  const stored = bytes.subarray(entry.offset, entry.offset + entry.storedBytes)
  const body = unsealRecord(cipher, { number, type: entry.type }, stored)
  const plain = body === undefined || entry.codec === 'none' ? body : decompressor.decompress(body, entry.rawBytes)
  if (body !== undefined && plain !== body) releaseMemory(body)
  if (plain?.length !== entry.rawBytes) throw objectFault(objectKey, 'altered', `record ${number} does not open`)
  return plain
}
