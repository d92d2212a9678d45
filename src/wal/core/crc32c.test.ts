import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { crc32c, crc32cFinish, crc32cStart, crc32cUpdate } from './crc32c.ts'

test('the check value of the CRC catalogue and the vectors of RFC 3720 B.4 come out', () => {
  assert.equal(crc32c(new TextEncoder().encode('123456789')), 0xe3069283)
  assert.equal(crc32c(new Uint8Array(32)), 0x8a9136aa)
  assert.equal(crc32c(new Uint8Array(32).fill(0xff)), 0x62a8ab43)
  assert.equal(crc32c(Uint8Array.from({ length: 32 }, (_, index) => index)), 0x46dd794e)
})

test('a checksum made in pieces is that of the whole, and equals the one made bit by bit', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 100 }), fc.nat(100), (bytes, cut) => {
      const middle = Math.min(cut, bytes.length)
      const first = crc32cUpdate(crc32cStart, bytes, 0, middle)
      assert.equal(crc32cFinish(crc32cUpdate(first, bytes, middle)), crc32c(bytes))
      assert.equal(crc32c(bytes), bitByBit(bytes))
    }),
  )
})

function bitByBit(bytes: Uint8Array): number {
  let crc = 0xffffffff
  for (const byte of bytes) {
    crc ^= byte
    for (let bit = 0; bit < 8; bit += 1) crc = (crc >>> 1) ^ ((crc & 1) === 1 ? 0x82f63b78 : 0)
  }
  return ~crc >>> 0
}
