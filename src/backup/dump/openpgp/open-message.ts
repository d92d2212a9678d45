import { createDecipheriv, createHash } from 'node:crypto'
import { Readable } from 'node:stream'
import { createInflate, createInflateRaw } from 'node:zlib'
import { Malformed } from '../../../repository/core/malformed.ts'
import type { KeyAccess } from '../../../repository/openpgp-keys.ts'
import { unwrapSessionKey, type SessionKey } from '../../../repository/openpgp-session-key.ts'
import { encodeLength, packetTags, tagByte } from '../core/packet-header.ts'
import { openByteReader } from './byte-reader.ts'
import { readPacket, readSmallBody } from './read-packet.ts'
import type { Packet } from './read-packet.ts'

const prefixBytes = 18
/** The modification code: a packet header of two bytes and a SHA-1. */
const codeBytes = 22
const largestKeyPacketBytes = 64 * 1024

/** The message does not open with the passphrase or private key that was given. */
export class WrongKey extends Error {}

/**
 * The content of an OpenPGP message as `gpg` and {@link sealMessage} write it: for a passphrase or a public key, in a
 * SEIPD packet of version 1, compressed or not. Nothing that comes out may be trusted before the end: only then is the
 * modification code known to be right. Throws {@link WrongKey}, or {@link Malformed} for what is damaged or unknown.
 */
export async function* openMessage(message: AsyncIterable<Uint8Array>, access: KeyAccess): AsyncGenerator<Uint8Array> {
  const source = message[Symbol.asyncIterator]()
  try {
    const reader = openByteReader(unclosable(source))
    const { sealed, keyPackets } = await findSealed(reader)
    const proof = { intact: false }
    const content = unsealed(sealed.body, await unwrapSessionKey(keyPackets, access), proof)
    try {
      yield* literalContent(unclosable(content))
    } catch (error) {
      throw isZlibError(error) ? new Malformed('altered', 'what is compressed in it is damaged') : error
    }
    // Whoever unpacked the content may have stopped before its end, where the modification code is, or may be told of it
    // by an error that nobody hears.
    while ((await content.next()).done !== true);
    if (!proof.intact) throw new Malformed('altered', 'its modification code was not reached')
    if ((await reader.some(1)).length > 0) throw new Malformed('altered', 'something follows its end')
  } finally {
    await source.return?.()
  }
}

async function findSealed(
  reader: ReturnType<typeof openByteReader>,
): Promise<{ readonly sealed: Packet; readonly keyPackets: Uint8Array }> {
  const keyPackets: Uint8Array[] = []
  for (;;) {
    const packet = await readPacket(reader)
    if (packet === undefined) throw new Malformed('truncated', 'it holds no encrypted data')
    switch (packet.tag) {
      case packetTags.publicKeySessionKey:
      case packetTags.symmetricSessionKey: {
        const body = await readSmallBody(packet, largestKeyPacketBytes)
        keyPackets.push(Uint8Array.of(tagByte(packet.tag)), encodeLength(body.length), body)
        break
      }
      case packetTags.marker:
        await readSmallBody(packet, largestKeyPacketBytes)
        break
      case packetTags.protected:
        return { sealed: packet, keyPackets: Buffer.concat(keyPackets) }
      case packetTags.aead:
        throw new Malformed('unsupported', 'it is encrypted with OCB or EAX, as gpg 2.3 and later can')
      case packetTags.unprotected:
        throw new Malformed('unsupported', 'it is encrypted without protection against modification')
      default:
        throw new Malformed('altered', `it begins with an OpenPGP packet of type ${packet.tag}`)
    }
  }
}

/** Decrypts the body of a SEIPD packet, holding back the modification code, which is compared at the end. */
async function* unsealed(
  body: AsyncIterable<Uint8Array>,
  candidates: readonly SessionKey[],
  proof: { intact: boolean },
): AsyncGenerator<Uint8Array> {
  const reader = openByteReader(body)
  const [version] = await reader.read(1)
  if (version !== 1) throw new Malformed('unsupported', `its encrypted data has version ${version ?? 'none'}`)
  const start = await reader.read(prefixBytes)
  if (start.length < prefixBytes) throw new Malformed('truncated', 'it ends where its encrypted data begins')
  const key = candidates.find((candidate) => prefixFits(decipherOf(candidate).update(start)))
  if (key === undefined) throw new WrongKey()
  const decipher = decipherOf(key)
  const hash = createHash('sha1').update(decipher.update(start))
  let held: Uint8Array = new Uint8Array()
  for (;;) {
    const chunk = await reader.some(1 << 20)
    if (chunk.length === 0) break
    const joined = Buffer.concat([held, decipher.update(chunk)])
    const ready = joined.subarray(0, Math.max(0, joined.length - codeBytes))
    held = joined.subarray(ready.length)
    if (ready.length === 0) continue
    hash.update(ready)
    yield ready
  }
  const expected = hash.update(Uint8Array.of(0xd3, 0x14)).digest()
  proof.intact = held.length === codeBytes && held[0] === 0xd3 && held[1] === 0x14 && expected.equals(held.subarray(2))
  if (!proof.intact) throw new Malformed('altered', 'its modification code does not fit: it was altered or cut')
}

/** Unpacks compressed packets down to the literal one, and gives what that holds. */
async function* literalContent(packets: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  const packet = await readPacket(openByteReader(packets))
  if (packet?.tag === packetTags.literal) {
    const reader = openByteReader(packet.body)
    const [, nameBytes] = await reader.read(2)
    await reader.read((nameBytes ?? 0) + 4)
    for (;;) {
      const chunk = await reader.some(1 << 20)
      if (chunk.length === 0) return
      yield chunk
    }
  }
  if (packet?.tag === packetTags.compressed) {
    yield* literalContent(await inflated(packet.body))
    return
  }
  const what = packet === undefined ? 'nothing' : `an OpenPGP packet of type ${packet.tag}`
  throw new Malformed('unsupported', `${what} is encrypted in it, not a file`)
}

async function inflated(body: AsyncIterable<Uint8Array>): Promise<AsyncIterable<Uint8Array>> {
  const reader = openByteReader(body)
  const [algorithm] = await reader.read(1)
  if (algorithm === 0) return remaining(reader)
  if (algorithm !== 1 && algorithm !== 2) {
    throw new Malformed('unsupported', algorithm === 3 ? 'it is compressed with bzip2' : 'its compression is unknown')
  }
  const inflate = algorithm === 1 ? createInflateRaw() : createInflate()
  const source = Readable.from(remaining(reader), { objectMode: false })
  source.on('error', (error) => inflate.destroy(error))
  return source.pipe(inflate)
}

async function* remaining(reader: ReturnType<typeof openByteReader>): AsyncGenerator<Uint8Array> {
  for (;;) {
    const chunk = await reader.some(1 << 20)
    if (chunk.length === 0) return
    yield chunk
  }
}

function decipherOf({ cipher, data }: SessionKey): ReturnType<typeof createDecipheriv> {
  return createDecipheriv(`aes-${cipher.slice(3)}-cfb`, data, Buffer.alloc(16))
}

function prefixFits(prefix: Uint8Array): boolean {
  return prefix[14] === prefix[16] && prefix[15] === prefix[17]
}

/** The same stream for readers that may stop early without ending it for everybody. */
function unclosable(iterator: AsyncIterator<Uint8Array>): AsyncIterable<Uint8Array> {
  return { [Symbol.asyncIterator]: () => ({ next: () => iterator.next() }) }
}

function isZlibError(error: unknown): boolean {
  const code = (error as NodeJS.ErrnoException | undefined)?.code
  return typeof code === 'string' && code.startsWith('Z_')
}
