import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Lsn } from '../../wal/core/lsn.ts'
import { coveredUpTo } from './wal-coverage.ts'

const ranges = (...pairs: [number, number][]) =>
  pairs.map(([start, end]) => ({ start: BigInt(start) as Lsn, end: BigInt(end) as Lsn }))
const reach = (from: number, ...pairs: [number, number][]) => Number(coveredUpTo(ranges(...pairs), BigInt(from) as Lsn))

test('follows ranges in any order, over overlaps, up to the first hole', () => {
  assert.equal(reach(25, [30, 40], [20, 30]), 40)
  assert.equal(reach(25, [20, 35], [30, 40], [10, 50]), 50)
  assert.equal(reach(25, [20, 30], [31, 40]), 30)
})

test('reaches nowhere when the beginning is missing', () => {
  assert.equal(reach(25), 25)
  assert.equal(reach(25, [26, 40]), 25)
  assert.equal(reach(25, [10, 25]), 25)
})
