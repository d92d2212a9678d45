import assert from 'node:assert/strict'
import { test } from 'node:test'
import { newestBefore, type ObjectVersion } from './past-versions.ts'

const version = (id: string, at: number, sizeBytes?: number): ObjectVersion => ({
  key: 'k',
  version: id,
  at,
  sizeBytes,
})
const current = (versions: readonly ObjectVersion[], moment: number): string | undefined =>
  newestBefore(versions, moment).next().value?.version

test('the version that was current at a moment is found, whatever came later', () => {
  const versions = [version('second', 30, 2), version('first', 10, 1), version('mark', 20)]
  assert.equal(current(versions, 9), undefined)
  assert.equal(current(versions, 10), 'first')
  assert.equal(current(versions, 19), 'first')
  assert.equal(current(versions, 20), undefined)
  assert.equal(current(versions, 30), 'second')
})

test('of two versions with the same time the one listed first is the newer', () => {
  assert.equal(current([version('newer', 10, 2), version('older', 10, 1)], 10), 'newer')
})
