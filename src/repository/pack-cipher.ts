import { createCipheriv, createDecipheriv, createSecretKey, hkdfSync, type KeyObject } from 'node:crypto'
import { recordTypeCodes, tagBytes } from './core/pack-layout.ts'

/**
 * The cipher of one pack. Every object has a key of its own, derived with the random salt in its header, so numbering
 * its records makes nonces that never repeat; the associated data bind each record to its repository, object, number
 * and type, so a moved, swapped or altered record does not open.
 */
export interface PackCipher {
  readonly subkey: KeyObject
  readonly identity: Buffer
}

const cipherName = 'aes-256-gcm'

export function derivePackCipher(
  dataKey: KeyObject,
  pack: { readonly repositoryId: string; readonly objectKey: string; readonly salt: Uint8Array },
): PackCipher {
  const identity = Buffer.from(`holdfast pack\n${pack.repositoryId}\n${pack.objectKey}\n`)
  return { subkey: createSecretKey(Buffer.from(hkdfSync('sha256', dataKey, pack.salt, identity, 32))), identity }
}

export interface RecordPlace {
  readonly number: number
  readonly type: keyof typeof recordTypeCodes
}

/** Ciphertext and tag. */
export function sealRecord(cipher: PackCipher, place: RecordPlace, plain: Uint8Array): [Uint8Array, Uint8Array] {
  const sealing = createCipheriv(cipherName, cipher.subkey, nonceOf(place), { authTagLength: tagBytes })
  sealing.setAAD(associatedData(cipher, place))
  const ciphertext = sealing.update(plain)
  sealing.final()
  return [ciphertext, sealing.getAuthTag()]
}

/** The plain content, or undefined when the record is not what was sealed at this place. */
export function unsealRecord(cipher: PackCipher, place: RecordPlace, stored: Uint8Array): Uint8Array | undefined {
  const opening = createDecipheriv(cipherName, cipher.subkey, nonceOf(place), { authTagLength: tagBytes })
  opening.setAAD(associatedData(cipher, place))
  opening.setAuthTag(stored.subarray(stored.length - tagBytes))
  const plain = opening.update(stored.subarray(0, stored.length - tagBytes))
  try {
    opening.final()
  } catch {
    // The only thing final() can report in this mode is that the tag does not fit.
    return undefined
  }
  return plain
}

function nonceOf({ number }: RecordPlace): Buffer {
  const nonce = Buffer.alloc(12)
  nonce.writeUInt32LE(number, 0)
  return nonce
}

function associatedData(cipher: PackCipher, { number, type }: RecordPlace): Buffer {
  const suffix = Buffer.alloc(5)
  suffix.writeUInt32LE(number, 0)
  suffix.writeUInt8(recordTypeCodes[type], 4)
  return Buffer.concat([cipher.identity, suffix])
}
