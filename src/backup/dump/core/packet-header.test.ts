import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import {
  encodeLength,
  encodePartLength,
  moreLengthBytes,
  parseNewLength,
  parseOldLength,
  parseTagByte,
  tagByte,
} from './packet-header.ts'

test('a length reads back as it was written, and says itself how long it is', () => {
  fc.assert(
    fc.property(fc.oneof(fc.integer({ min: 0, max: 9000 }), fc.integer({ min: 0, max: 2 ** 32 - 1 })), (bytes) => {
      const encoded = encodeLength(bytes)
      assert.equal(encoded.length, 1 + moreLengthBytes(encoded[0] ?? 0))
      assert.deepEqual(parseNewLength(encoded), { kind: 'whole', bytes })
    }),
  )
})

test('a part is a power of two', () => {
  for (let power = 0; power <= 30; power += 1) {
    const encoded = encodePartLength(power)
    assert.equal(moreLengthBytes(encoded[0] ?? 0), 0)
    assert.deepEqual(parseNewLength(encoded), { kind: 'part', bytes: 2 ** power })
  }
})

test('tags of both forms are read, and bytes that begin no packet are not', () => {
  for (let tag = 0; tag < 64; tag += 1) {
    assert.deepEqual(parseTagByte(tagByte(tag)), { tag, form: 'new', lengthBytes: 1 })
  }
  // From RFC 9580 §4.2.2 and what gpg writes: a key packet of one length byte, and compressed data up to the end.
  assert.deepEqual(parseTagByte(0x8c), { tag: 3, form: 'old', lengthBytes: 1 })
  assert.deepEqual(parseTagByte(0xa3), { tag: 8, form: 'old', lengthBytes: 0 })
  assert.deepEqual(parseOldLength(Uint8Array.of(1, 0)), { kind: 'whole', bytes: 256 })
  assert.deepEqual(parseOldLength(new Uint8Array()), { kind: 'rest' })
  assert.equal(parseTagByte(0x2d), undefined)
})
