import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type EarlierPages, selectPages } from './select-pages.ts'

const pageBytes = 8192
const sinceLsn = 0x2_0000_1000n
const earlier: EarlierPages = { sinceLsn, pageCount: 1000, damaged: [] }

/** A page as PostgreSQL lays out its head: LSN in two halves, `pd_upper`. */
function page(lsn: bigint, upper = 8000): Buffer {
  const bytes = Buffer.alloc(pageBytes)
  bytes.writeUInt32LE(Number(lsn >> 32n), 0)
  bytes.writeUInt32LE(Number(lsn & 0xffff_ffffn), 4)
  bytes.writeUInt16LE(upper, 14)
  return bytes
}

test('pages changed since, in either half of the LSN, and at the very LSN', () => {
  const lsns = [0n, sinceLsn - 1n, sinceLsn, sinceLsn + 1n, 0x3_0000_0000n, 0x1_ffff_ffffn, 0x2_0000_0fffn]
  assert.deepEqual(selectPages(Buffer.concat(lsns.map((lsn) => page(lsn))), 0, earlier), [2, 3, 4])
})

test('new pages have no LSN', () => {
  assert.deepEqual(selectPages(Buffer.concat([page(1n), page(0n, 0)]), 0, earlier), [1])
})

test('pages that the earlier backup does not have, or has damaged, count by their place in the file', () => {
  const pages = Buffer.concat([page(1n), page(1n), page(1n), page(1n)])
  assert.deepEqual(selectPages(pages, 100, { ...earlier, pageCount: 102 }), [2, 3])
  assert.deepEqual(selectPages(pages, 100, { ...earlier, damaged: [1, 101] }), [1])
})
