import assert from 'node:assert/strict'
import { test } from 'node:test'
import { constants, zstdCompressSync, zstdDecompressSync } from 'node:zlib'
import * as fc from 'fast-check'
import { seededRandom } from './random.ts'
import { createZstdCompressor, createZstdDecompressor } from './zstd.ts'

function block(seed: number, length: number, distinct: number): Buffer {
  const random = seededRandom(seed)
  return Buffer.from(Array.from({ length }, () => Math.floor(random() * distinct)))
}

const blocks = [
  block(1, 100_000, 4),
  block(2, 262_144, 256),
  Buffer.alloc(262_144),
  block(3, 1, 256),
  Buffer.alloc(0),
  block(4, 700_000, 16),
  block(1, 100_000, 4),
]

test('every block is what the public function makes, at every level, however many came before', () => {
  for (const level of [1, 3, 9]) {
    const { compress } = createZstdCompressor(level)
    for (const [index, plain] of [...blocks, ...blocks].entries()) {
      const expected = zstdCompressSync(plain, { params: { [constants.ZSTD_c_compressionLevel]: level } })
      assert.ok(expected.equals(compress(plain)), `level ${level}, block ${index}`)
    }
  }
})

test('every block comes back, one after the other', () => {
  const { decompress } = createZstdDecompressor()
  for (const plain of [...blocks, ...blocks]) {
    const read = decompress(zstdCompressSync(plain), plain.length)
    assert.ok(read !== undefined && plain.equals(read))
  }
})

test('what is not the frame that is expected is nothing, and does no harm to the next', () => {
  const { decompress } = createZstdDecompressor()
  const plain = block(5, 50_000, 8)
  const frame = zstdCompressSync(plain)
  const bad: readonly (readonly [Uint8Array, number])[] = [
    [Buffer.from('this is not zstd'), 50_000],
    [frame.subarray(0, 1000), 50_000],
    [frame.subarray(0, -1), 50_000],
    [frame, 49_999],
    [frame, 50_001],
    [Buffer.alloc(0), 50_000],
  ]
  for (const [index, [input, plainBytes]] of [...bad, ...bad].entries()) {
    assert.equal(decompress(input, plainBytes), undefined, `bad input ${index}`)
    assert.ok(plain.equals(decompress(frame, plain.length) ?? assert.fail()), `after bad input ${index}`)
  }
})

test('law: blocks of any content, in any order', () => {
  const { compress } = createZstdCompressor(1)
  const { decompress } = createZstdDecompressor()
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 5000 }), fc.nat(200), (piece, times) => {
      const plain = Buffer.concat(Array.from({ length: times }, () => piece))
      const compressed = Buffer.from(compress(plain))
      assert.ok(zstdDecompressSync(compressed).equals(plain))
      assert.ok(plain.equals(decompress(compressed, plain.length) ?? assert.fail()))
    }),
  )
})
