import { createCipheriv, createSecretKey, randomBytes } from 'node:crypto'
import { chunkBytes, chunkHashBytes } from './core/chunks.ts'

/**
 * Hashes of the 256 KiB chunks of files, by which a restore finds out what a directory has already. They are GMACs: a
 * universal hash keyed by a random secret, at several times the speed of SHA-256. Two different contents that do not
 * depend on the key have the same one with a chance below 2^-113. Fixing the nonce would give the key away to whoever sees hashes;
 * so key and hashes stand only in the manifest, which is encrypted.
 */
export function createChunkHasher(chunkKey: string): (chunk: Uint8Array) => Uint8Array {
  const key = createSecretKey(chunkKey, 'base64')
  return (chunk) => {
    const cipher = createCipheriv('aes-256-gcm', key, nonce, { authTagLength: chunkHashBytes })
    cipher.setAAD(chunk)
    cipher.final()
    return cipher.getAuthTag()
  }
}

/** The hashes of all chunks of a content, one behind the other. */
export function hashChunks(hash: (chunk: Uint8Array) => Uint8Array, content: Uint8Array): Uint8Array {
  const hashes = new Uint8Array(Math.ceil(content.length / chunkBytes) * chunkHashBytes)
  for (let at = 0, place = 0; at < content.length; at += chunkBytes, place += chunkHashBytes) {
    hashes.set(hash(content.subarray(at, at + chunkBytes)), place)
  }
  return hashes
}

export function newChunkKey(): string {
  return randomBytes(32).toString('base64')
}

const nonce = new Uint8Array(12)
