import { Malformed } from '../../../repository/core/malformed.ts'
import { moreLengthBytes, parseNewLength, parseOldLength, parseTagByte } from '../core/packet-header.ts'
import type { BodyLength } from '../core/packet-header.ts'
import type { ByteReader } from './byte-reader.ts'

/** A packet whose body has to be read to its end before the next packet is asked for. */
export interface Packet {
  readonly tag: number
  readonly body: AsyncIterable<Uint8Array>
}

const atOnceBytes = 1 << 20

/** The next packet of a message; undefined at its end. Throws {@link Malformed} where none begins. */
export async function readPacket(reader: ByteReader): Promise<Packet | undefined> {
  const [first] = await reader.read(1)
  if (first === undefined) return undefined
  const header = parseTagByte(first)
  if (header === undefined) throw new Malformed('altered', 'it has bytes that are no OpenPGP packet')
  const length =
    header.form === 'new' ? await readNewLength(reader) : parseOldLength(await exactly(reader, header.lengthBytes))
  return { tag: header.tag, body: readBody(reader, length) }
}

/** The whole body of a packet that must be small. */
export async function readSmallBody(packet: Packet, atMost: number): Promise<Uint8Array> {
  const parts: Uint8Array[] = []
  let sizeBytes = 0
  for await (const part of packet.body) {
    sizeBytes += part.length
    if (sizeBytes > atMost) throw new Malformed('altered', `a packet of type ${packet.tag} is longer than any may be`)
    parts.push(part)
  }
  return Buffer.concat(parts)
}

async function* readBody(reader: ByteReader, first: BodyLength): AsyncGenerator<Uint8Array> {
  for (let length = first; ; length = await readNewLength(reader)) {
    if (length.kind === 'rest') {
      for (;;) {
        const bytes = await reader.some(atOnceBytes)
        if (bytes.length === 0) return
        yield bytes
      }
    }
    for (let missing = length.bytes; missing > 0;) {
      const bytes = await reader.some(Math.min(missing, atOnceBytes))
      if (bytes.length === 0) throw truncated()
      missing -= bytes.length
      yield bytes
    }
    if (length.kind === 'whole') return
  }
}

async function readNewLength(reader: ByteReader): Promise<BodyLength> {
  const first = await exactly(reader, 1)
  const more = await exactly(reader, moreLengthBytes(first[0] ?? 0))
  return parseNewLength(Buffer.concat([first, more]))
}

async function exactly(reader: ByteReader, bytes: number): Promise<Uint8Array> {
  const read = await reader.read(bytes)
  if (read.length < bytes) throw truncated()
  return read
}

function truncated(): Malformed {
  return new Malformed('truncated', 'it ends in the middle of an OpenPGP packet')
}
