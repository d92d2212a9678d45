import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createChecksumKernel } from './checksum-kernel.ts'
import { checksumPage, pageBytes } from './checksum-page.ts'
import { scanPages } from './scan-pages.ts'

const firstBlock = 131072

function intactPage(block: number): Uint8Array {
  const page = new Uint8Array(pageBytes).fill(block & 0xff)
  new DataView(page.buffer).setUint32(0, 0x16, true)
  new DataView(page.buffer).setUint32(4, 0xb374d848, true)
  new DataView(page.buffer).setUint16(14, 8000, true)
  new DataView(page.buffer).setUint16(8, checksumPage(page, block), true)
  return page
}

function scan(...pages: Uint8Array[]) {
  const kernel = createChecksumKernel(pages.length)
  pages.forEach((page, index) => kernel.pages.set(page, index * pageBytes))
  return scanPages(kernel.pages, kernel.checksums(pages.length, firstBlock))
}

test('intact pages and new pages are not suspect', () => {
  assert.deepEqual(scan(intactPage(firstBlock), new Uint8Array(pageBytes), intactPage(firstBlock + 2)), [])
})

test('one flipped bit anywhere makes a page suspect', () => {
  const damaged = intactPage(firstBlock + 1)
  damaged[pageBytes - 1]! ^= 1
  assert.deepEqual(scan(intactPage(firstBlock), damaged), [1])
})

test('a page that belongs to another block is suspect', () => {
  assert.deepEqual(scan(intactPage(firstBlock + 1)).length, 1)
})

test('a page that claims to be new but is not all zero is suspect', () => {
  const page = new Uint8Array(pageBytes)
  page[pageBytes - 1] = 1
  assert.deepEqual(scan(page), [0])
})
