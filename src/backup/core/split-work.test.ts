import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { Batching, cutRange, type FilePart, type SplitLimits } from './split-work.ts'

function splitWork(sizes: readonly number[], limits: SplitLimits): (readonly FilePart[])[] {
  const batching = new Batching<FilePart>(limits)
  const parts = sizes.flatMap((size, file) => cutRange(file, 0, size, limits))
  const full = parts.flatMap((part) => {
    const batch = batching.add(part)
    return batch === undefined ? [] : [batch]
  })
  const rest = batching.take()
  return rest.length === 0 ? full : [...full, rest]
}

test('every byte of every file is in exactly one part, and limits hold', () => {
  const sizes = fc.array(fc.nat(1000), { maxLength: 60 })
  fc.assert(
    fc.property(
      sizes,
      fc.integer({ min: 1, max: 300 }),
      fc.integer({ min: 1, max: 5 }),
      (files, batchBytes, batchFiles) => {
        const batches = splitWork(files, { batchBytes, batchFiles })
        const read = files.map(() => 0)
        const seen = files.map(() => 0)
        for (const batch of batches) {
          assert.ok(batch.length >= 1 && batch.length <= batchFiles)
          assert.ok(batch.reduce((sum, part) => sum + part.lengthBytes, 0) <= batchBytes)
          for (const part of batch) {
            assert.equal(part.offset, read[part.file])
            assert.equal(part.offset % batchBytes, 0)
            read[part.file]! += part.lengthBytes
            seen[part.file]! += 1
          }
        }
        assert.deepEqual(read, files)
        assert.ok(seen.every((count) => count >= 1))
      },
    ),
  )
})

test('a file of exactly the batch size is one part', () => {
  assert.deepEqual(splitWork([8, 0], { batchBytes: 8, batchFiles: 9 }), [
    [
      { file: 0, offset: 0, lengthBytes: 8 },
      { file: 1, offset: 0, lengthBytes: 0 },
    ],
  ])
})

test('a range is cut where a file from its beginning would be', () => {
  assert.deepEqual(cutRange(3, 5, 20, { batchBytes: 8, batchFiles: 9 }), [
    { file: 3, offset: 5, lengthBytes: 3 },
    { file: 3, offset: 8, lengthBytes: 8 },
    { file: 3, offset: 16, lengthBytes: 4 },
  ])
})
