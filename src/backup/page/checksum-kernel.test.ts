import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { createChecksumKernel } from './checksum-kernel.ts'
import { checksumPage, pageBytes } from './checksum-page.ts'

const capacityPages = 4

test('the kernel agrees with the plain definition on any bytes and block number', () => {
  const kernel = createChecksumKernel(capacityPages)
  const pages = fc.uint8Array({ minLength: capacityPages * pageBytes, maxLength: capacityPages * pageBytes })
  fc.assert(
    fc.property(pages, fc.integer({ min: 0, max: 0xffff_ffff - capacityPages }), (bytes, firstBlock) => {
      kernel.pages.set(bytes)
      const expected = Array.from({ length: capacityPages }, (_, index) =>
        checksumPage(bytes.subarray(index * pageBytes, (index + 1) * pageBytes), firstBlock + index),
      )
      assert.deepEqual([...kernel.checksums(capacityPages, firstBlock)], expected)
    }),
    { numRuns: 50 },
  )
})

test('the stored checksum itself does not count, every other bit does', () => {
  const kernel = createChecksumKernel(1)
  fc.assert(
    fc.property(fc.nat(pageBytes * 8 - 1), (bit) => {
      kernel.pages.fill(0x5a)
      const before = kernel.checksums(1, 7)[0]
      const byte = bit >> 3
      kernel.pages[byte] = 0x5a ^ (1 << (bit & 7))
      const same = kernel.checksums(1, 7)[0] === before
      assert.equal(same, byte === 8 || byte === 9)
    }),
  )
})

test('a page counts as another page at another block', () => {
  const kernel = createChecksumKernel(1)
  kernel.pages.fill(1)
  assert.notEqual(kernel.checksums(1, 0)[0], kernel.checksums(1, 1)[0])
})

test('no pages, and more pages than fit', () => {
  const kernel = createChecksumKernel(2)
  assert.equal(kernel.checksums(0, 0).length, 0)
  assert.throws(() => kernel.checksums(3, 0), RangeError)
})
