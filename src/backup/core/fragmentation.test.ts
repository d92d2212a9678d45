import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { PageRun } from '../../repository/core/page-map.ts'
import { isFragmented } from './fragmentation.ts'

const backups = ['20260101T000000Z-00000000', '20260102T000000Z-00000000', '20260103T000000Z-00000000']
const backupOf = (pack: number): string => backups[pack] ?? ''
const run = (startPage: number, count: number, pack: number): PageRun => ({
  startPage,
  count,
  pack,
  record: 0,
  slot: 0,
})

test('40 % of what was copied whole may have changed', () => {
  assert.equal(isFragmented([run(0, 30, 0), run(30, 40, 1), run(70, 30, 0)], backupOf), false)
  assert.equal(isFragmented([run(0, 30, 0), run(30, 20, 1), run(50, 21, 2), run(71, 29, 0)], backupOf), true)
})

test('what was appended since does not count as changed', () => {
  assert.equal(isFragmented([run(0, 10, 0), run(10, 1000, 1)], backupOf), false)
})

test('a file that was copied whole later starts anew, and an empty one is fine', () => {
  assert.equal(isFragmented([run(0, 100, 2)], backupOf), false)
  assert.equal(isFragmented([], backupOf), false)
})

test('16 k runs are the limit', () => {
  const runs = (count: number): PageRun[] => Array.from({ length: count }, (_, at) => run(at, 1, at % 5 === 0 ? 1 : 0))
  assert.equal(isFragmented(runs(16_384), backupOf), false)
  assert.equal(isFragmented(runs(16_385), backupOf), true)
})
