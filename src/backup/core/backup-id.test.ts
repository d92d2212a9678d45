import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { backupId } from './backup-id.ts'

test('a backup is named after its start in UTC', () => {
  assert.equal(backupId(Date.UTC(2026, 10, 22, 13, 30, 0, 999), 'full', 'a1b2c3'), '20261122T133000Z-full-a1b2')
})

test('names sort by time and fit an object key', () => {
  const time = fc.integer({ min: Date.UTC(2000, 0), max: Date.UTC(2200, 0) })
  fc.assert(
    fc.property(time, time, (a, b) => {
      const [first, second] = [backupId(a, 'full', '0000'), backupId(b, 'full', '0000')]
      assert.match(first, /^[A-Za-z0-9._-]+$/)
      if (Math.floor(a / 1000) < Math.floor(b / 1000)) assert.ok(first < second)
    }),
  )
})
