import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { createChunkHasher, hashChunks, newChunkKey } from './chunk-hash.ts'
import { chunkBytes, chunkCount, chunkHashBytes } from './core/chunks.ts'

test('equal content has equal hashes under one key, and none in common under another', () => {
  const content = new Uint8Array(2 * chunkBytes + 5).map((_, index) => index * 7)
  const key = newChunkKey()
  const hashes = hashChunks(createChunkHasher(key), content)
  assert.equal(hashes.length, chunkCount(content.length) * chunkHashBytes)
  assert.deepEqual(hashChunks(createChunkHasher(key), content.slice()), hashes)
  assert.notDeepEqual(hashChunks(createChunkHasher(newChunkKey()), content), hashes)
  assert.equal(hashChunks(createChunkHasher(key), new Uint8Array(0)).length, 0)
})

test('any one bit, and any byte more or less, makes another hash', () => {
  const hash = createChunkHasher(newChunkKey())
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 1, maxLength: 300 }), fc.nat(), fc.nat({ max: 7 }), (content, at, bit) => {
      const other = content.slice()
      other[at % other.length]! ^= 1 << bit
      const before = Buffer.from(hash(content))
      assert.ok(!before.equals(hash(other)))
      assert.ok(!before.equals(hash(content.subarray(1))))
      assert.ok(!before.equals(hash(Uint8Array.of(...content, 0))))
    }),
  )
})
