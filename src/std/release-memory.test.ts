import assert from 'node:assert/strict'
import { test } from 'node:test'
import { releaseMemory } from './release-memory.ts'

test('memory that is all its own is given back', () => {
  const bytes = new Uint8Array(1000)
  releaseMemory(bytes)
  assert.equal(bytes.length, 0)
  releaseMemory(bytes)
})

test('memory that others see too is left alone', () => {
  const all = Uint8Array.from([1, 2, 3])
  releaseMemory(all.subarray(0, 2))
  assert.deepEqual([...all], [1, 2, 3])
  const pooled = Buffer.from('from the pool')
  releaseMemory(pooled)
  assert.equal(pooled.toString(), 'from the pool')
  const shared = new Uint8Array(new SharedArrayBuffer(2))
  releaseMemory(shared)
  assert.equal(shared.length, 2)
})
