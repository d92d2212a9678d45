import assert from 'node:assert/strict'
import { test } from 'node:test'
import { estimateRemaining } from './progress.ts'

test('the rest takes as long as the mean speed says, and never less than nothing', () => {
  assert.equal(estimateRemaining(250, 1000, 1000), 3000)
  assert.equal(estimateRemaining(1000, 1000, 1000), 0)
  assert.equal(estimateRemaining(1001, 1000, 1000), 0)
  assert.equal(estimateRemaining(0, 1000, 1000), undefined)
  assert.equal(estimateRemaining(100, 1000, 10), undefined)
})
