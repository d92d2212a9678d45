import { createCipheriv, createHash, randomBytes } from 'node:crypto'
import { createDeflate } from 'node:zlib'
import { Readable } from 'node:stream'
import type { KeyRecipients } from '../../../repository/openpgp-keys.ts'
import { wrapSessionKey } from '../../../repository/openpgp-session-key.ts'
import { encodeLength, encodePartLength, packetTags, tagByte } from '../core/packet-header.ts'

const partPower = 18
const partBytes = 2 ** partPower
const zlibAlgorithm = 2
/** Text of SQL shrinks to a fifth at any level; this one keeps up with pg_dump. */
const zlibLevel = 3

export interface SealOptions {
  /** Compress first, for content that is not compressed. */
  readonly compress: boolean
}

/**
 * Encrypts a stream as an OpenPGP message that `gpg -d` of version 2.2 opens: AES-256 in a SEIPD packet of version 1
 * (RFC 9580 §5.13.1), whose modification code `gpg` checks. Written by hand on node:crypto because that is as fast as
 * `gpg`, needs neither the program nor its agent and home directory, and holds no more than a part in memory.
 */
export async function* sealMessage(
  plain: AsyncIterable<Uint8Array>,
  recipients: KeyRecipients,
  options: SealOptions,
): AsyncGenerator<Uint8Array> {
  const key = randomBytes(32)
  yield await wrapSessionKey({ cipher: 'aes256', data: key }, recipients)
  const literal = packetOf(packetTags.literal, literalBody(plain))
  yield* packetOf(packetTags.protected, protectedBody(key, options.compress ? compressed(literal) : literal))
}

/** A packet of a length that nobody knows before its end, in parts. */
async function* packetOf(tag: number, body: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  yield Uint8Array.of(tagByte(tag))
  let held: Uint8Array[] = []
  let heldBytes = 0
  for await (const chunk of body) {
    held.push(chunk)
    heldBytes += chunk.length
    if (heldBytes < partBytes) continue
    const joined = Buffer.concat(held)
    let from = 0
    for (; joined.length - from >= partBytes; from += partBytes) {
      yield encodePartLength(partPower)
      yield joined.subarray(from, from + partBytes)
    }
    held = [joined.subarray(from)]
    heldBytes = joined.length - from
  }
  yield encodeLength(heldBytes)
  yield Buffer.concat(held)
}

/** Binary, without a file name or date, which are not protected by anything that `gpg` shows. */
async function* literalBody(plain: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  yield Buffer.from([0x62, 0, 0, 0, 0, 0])
  yield* plain
}

async function* compressed(packets: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  async function* body(): AsyncGenerator<Uint8Array> {
    yield Uint8Array.of(zlibAlgorithm)
    const deflate = createDeflate({ level: zlibLevel, chunkSize: partBytes })
    const source = Readable.from(packets, { objectMode: false })
    source.on('error', (error) => deflate.destroy(error))
    yield* source.pipe(deflate) as AsyncIterable<Uint8Array>
  }
  yield* packetOf(packetTags.compressed, body())
}

/** Random prefix with its last two bytes repeated, the content, and the SHA-1 of all that, in one run of CFB. */
async function* protectedBody(key: Uint8Array, content: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  const cipher = createCipheriv('aes-256-cfb', key, Buffer.alloc(16))
  const hash = createHash('sha1')
  const prefix = randomBytes(16)
  const start = Buffer.concat([prefix, prefix.subarray(14)])
  hash.update(start)
  yield Buffer.concat([Uint8Array.of(1), cipher.update(start)])
  for await (const chunk of content) {
    hash.update(chunk)
    yield cipher.update(chunk)
  }
  const codeHeader = Uint8Array.of(0xd3, 0x14)
  hash.update(codeHeader)
  yield cipher.update(Buffer.concat([codeHeader, hash.digest()]))
}
