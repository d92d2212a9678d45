import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isAtLeast } from './version.ts'

test('versions are compared number by number', () => {
  assert.equal(isAtLeast('2.45', '2.46'), false)
  assert.equal(isAtLeast('2.46', '2.46'), true)
  assert.equal(isAtLeast('2.55.1', '2.46'), true)
  assert.equal(isAtLeast('2.5', '2.46'), false)
  assert.equal(isAtLeast('3', '2.46'), true)
})
