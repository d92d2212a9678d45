import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { formatLsn, parseLsn } from './lsn.ts'
import type { Lsn } from './lsn.ts'

const anyLsn = fc.bigInt({ min: 0n, max: 0xffff_ffff_ffff_ffffn }).map((value) => value as Lsn)

test('an LSN reads back as it was written', () => {
  fc.assert(fc.property(anyLsn, (lsn) => assert.equal(parseLsn(formatLsn(lsn)), lsn)))
})

test("PostgreSQL's own spelling is read and written, and nothing else is read", () => {
  assert.equal(formatLsn(0x16_b374d848n as Lsn), '16/B374D848')
  assert.equal(parseLsn('16/B374D848'), 0x16_b374d848n)
  assert.equal(parseLsn('0/0'), 0n)
  for (const text of ['', '1', '/', '1/', '1/2/3', '1/123456789', 'x/1', ' 1/2', '-1/2']) {
    assert.equal(parseLsn(text), undefined, text)
  }
})
