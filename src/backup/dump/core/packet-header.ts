/**
 * Headers of OpenPGP packets, as RFC 9580 §4.2 has them: how a packet says what it is and how long. Files of the field
 * have both forms, the new one with its lengths of parts and the old one with its unknown length.
 */

/** Tags of the packets that we know. */
export const packetTags = {
  publicKeySessionKey: 1,
  symmetricSessionKey: 3,
  compressed: 8,
  unprotected: 9,
  marker: 10,
  literal: 11,
  protected: 18,
  aead: 20,
} as const

/** How the body of a packet goes on: a known length, a first part of a known length, or up to the end of what holds it. */
export type BodyLength =
  | { readonly kind: 'whole'; readonly bytes: number }
  | { readonly kind: 'part'; readonly bytes: number }
  | { readonly kind: 'rest' }

/** What the first byte of a packet says; undefined when no packet begins with it. */
export function parseTagByte(
  byte: number,
): { readonly tag: number; readonly form: 'new' | 'old'; readonly lengthBytes: 0 | 1 | 2 | 4 } | undefined {
  if ((byte & 0x80) === 0) return undefined
  if ((byte & 0x40) !== 0) return { tag: byte & 0x3f, form: 'new', lengthBytes: 1 }
  return { tag: (byte >> 2) & 0x0f, form: 'old', lengthBytes: ([1, 2, 4, 0] as const)[(byte & 3) as 0 | 1 | 2 | 3] }
}

/** How many more bytes a new length has after its first byte. */
export function moreLengthBytes(first: number): 0 | 1 | 4 {
  if (first < 192 || (first >= 224 && first < 255)) return 0
  return first === 255 ? 4 : 1
}

/** A length of the new form. */
export function parseNewLength(bytes: Uint8Array): BodyLength {
  const [first = 0, second = 0] = bytes
  if (first < 192) return { kind: 'whole', bytes: first }
  if (first < 224) return { kind: 'whole', bytes: ((first - 192) << 8) + second + 192 }
  if (first < 255) return { kind: 'part', bytes: 2 ** (first & 0x1f) }
  return { kind: 'whole', bytes: bigEndian(bytes.subarray(1)) }
}

/** A length of the old form. */
export function parseOldLength(bytes: Uint8Array): BodyLength {
  return bytes.length === 0 ? { kind: 'rest' } : { kind: 'whole', bytes: bigEndian(bytes) }
}

/** The first byte of a packet in the new form. */
export function tagByte(tag: number): number {
  return 0xc0 | tag
}

/** The length of a last or only part, in the new form. */
export function encodeLength(bytes: number): Uint8Array {
  if (bytes < 192) return Uint8Array.of(bytes)
  if (bytes < 8384) return Uint8Array.of(((bytes - 192) >> 8) + 192, (bytes - 192) & 0xff)
  return Uint8Array.of(255, (bytes >>> 24) & 0xff, (bytes >>> 16) & 0xff, (bytes >>> 8) & 0xff, bytes & 0xff)
}

/** The length of a part that others follow: a power of two, 512 bytes at least for the first. */
export function encodePartLength(powerOfTwo: number): Uint8Array {
  return Uint8Array.of(224 | powerOfTwo)
}

function bigEndian(bytes: Uint8Array): number {
  let value = 0
  for (const byte of bytes) value = value * 256 + byte
  return value
}
