import { createDecipheriv, createHash } from 'node:crypto'

/**
 * Opens the OpenPGP messages that we write ourselves for a passphrase (RFC 9580: iterated and salted S2K in a version 4
 * SKESK, a version 1 SEIPD, a literal) with Node.js alone. Every command opens the repository; loading a whole OpenPGP
 * library and its slower S2K would cost each a third of a second of processor time. Gives undefined for a wrong
 * passphrase and for every other kind of message, which only the library can judge.
 */
export function openPassphraseMessage(armored: string, passphrase: string): OpenedMessage | undefined {
  try {
    const packets = readPackets(dearmor(armored))
    const sealed = packets.find(({ tag }) => tag === tags.sealed)?.body
    const recipients = packets.filter(({ tag }) => tag === tags.recipient).map(({ body }) => keyIdOf(body))
    if (sealed?.[0] !== 1 || recipients.includes(undefined)) return undefined
    const passphrases = packets.filter(({ tag }) => tag === tags.passphrase).length
    for (const { tag, body } of packets) {
      const session = tag === tags.passphrase ? sessionKey(body, Buffer.from(passphrase)) : undefined
      const plain = session === undefined ? undefined : openSealed(sealed.subarray(1), session)
      const literal = plain === undefined ? undefined : literalOf(plain)
      if (literal !== undefined)
        return { plain: literal, passphrases, recipients: recipients.flatMap((id) => id ?? []) }
    }
    return undefined
  } catch (error) {
    // It ends too early, or is cut where no packet ends.
    if (error instanceof RangeError) return undefined
    throw error
  }
}

export interface OpenedMessage {
  readonly plain: Uint8Array
  /** How many passphrases open it. */
  readonly passphrases: number
  /** The key ids of the (sub)keys that open it, 16 upper-case hexadecimal digits. */
  readonly recipients: readonly string[]
}

const tags = { recipient: 1, passphrase: 3, literal: 11, sealed: 18 } as const

interface Packet {
  readonly tag: number
  readonly body: Buffer
}

interface Session {
  readonly cipher: Cipher
  readonly key: Buffer
}

interface Cipher {
  readonly name: string
  readonly keyBytes: number
}

const ciphers: ReadonlyMap<number, Cipher> = new Map([
  [7, { name: 'aes-128-cfb', keyBytes: 16 }],
  [9, { name: 'aes-256-cfb', keyBytes: 32 }],
])
const hashes: ReadonlyMap<number, string> = new Map([
  [8, 'sha256'],
  [10, 'sha512'],
])

function dearmor(armored: string): Buffer {
  const pattern =
    /^-----BEGIN PGP MESSAGE-----\r?\n(?:[^\r\n]+\r?\n)*\r?\n([^-=]*={0,2})\s*(?:=[A-Za-z0-9+/]{4}\s*)?-----END/
  return Buffer.from(pattern.exec(armored)?.[1] ?? '', 'base64')
}

/** Packets of the newer format whose length is known at their beginning or comes in parts. */
function readPackets(message: Buffer): Packet[] {
  const packets: Packet[] = []
  let at = 0
  const take = (size: number): Buffer => {
    if (at + size > message.length) throw new RangeError('the message ends too early')
    return message.subarray(at, (at += size))
  }
  while (at < message.length) {
    const head = take(1).readUInt8()
    if ((head & 0xc0) !== 0xc0) throw new RangeError('no packet of the newer format')
    const pieces: Buffer[] = []
    for (let partial = true; partial;) {
      const first = take(1).readUInt8()
      partial = first >= 224 && first < 255
      if (partial) pieces.push(take(2 ** (first & 31)))
      else if (first < 192) pieces.push(take(first))
      else if (first === 255) pieces.push(take(take(4).readUInt32BE()))
      else pieces.push(take(((first - 192) << 8) + take(1).readUInt8() + 192))
    }
    packets.push({ tag: head & 63, body: Buffer.concat(pieces) })
  }
  return packets
}

/** Of a public-key encrypted session key packet, version 3. */
function keyIdOf(body: Buffer): string | undefined {
  return body[0] === 3 ? body.subarray(1, 9).toString('hex').toUpperCase() : undefined
}

/** From a symmetric-key encrypted session key packet: the passphrase's own key, or the one that is wrapped with it. */
function sessionKey(body: Buffer, passphrase: Buffer): Session | undefined {
  const cipher = ciphers.get(body.readUInt8(1))
  const hash = hashes.get(body.readUInt8(3))
  if (body[0] !== 4 || body[2] !== 3 || cipher === undefined || hash === undefined) return undefined
  const coded = body.readUInt8(12)
  const hashedBytes = (16 + (coded & 15)) * 2 ** ((coded >> 4) + 6)
  const key = stretch(hash, Buffer.concat([body.subarray(4, 12), passphrase]), hashedBytes).subarray(0, cipher.keyBytes)
  if (body.length === 13) return { cipher, key }
  const opened = createDecipheriv(cipher.name, key, Buffer.alloc(16)).update(body.subarray(13))
  const inner = ciphers.get(opened[0] ?? 0)
  return inner?.keyBytes === opened.length - 1 ? { cipher: inner, key: opened.subarray(1) } : undefined
}

/** Both hashes give enough bytes for the longest key, so one is enough. */
function stretch(hash: string, unit: Buffer, hashedBytes: number): Buffer {
  const total = Math.max(hashedBytes, unit.length)
  const block = Buffer.concat(Array.from({ length: Math.ceil(65_536 / unit.length) }, () => unit))
  const hashing = createHash(hash)
  for (let done = 0; done < total; done += block.length) {
    hashing.update(block.subarray(0, Math.min(block.length, total - done)))
  }
  return hashing.digest()
}

/** The packets inside, if the first block says that the key is right, and the hash at the end that nothing was altered. */
function openSealed(sealed: Buffer, { cipher, key }: Session): Buffer | undefined {
  const plain = createDecipheriv(cipher.name, key, Buffer.alloc(16)).update(sealed)
  if (plain.length < 40 || !plain.subarray(14, 16).equals(plain.subarray(16, 18))) return undefined
  const digest = createHash('sha1').update(plain.subarray(0, -20)).digest()
  return digest.equals(plain.subarray(-20)) ? plain.subarray(18, -22) : undefined
}

function literalOf(plain: Buffer): Uint8Array | undefined {
  const literal = readPackets(plain).find(({ tag }) => tag === tags.literal)?.body
  // Its format, the length of a file name and the name, and a date come first.
  return literal?.subarray(6 + literal.readUInt8(1))
}
