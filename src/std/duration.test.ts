import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { describeBytes, formatByteSize, parseByteSize } from './byte-size.ts'
import { describeElapsed, formatDuration, parseDuration } from './duration.ts'

test('durations and sizes read back as they were written', () => {
  fc.assert(
    fc.property(fc.nat(), (amount) => {
      assert.deepEqual(parseDuration(formatDuration({ ms: amount })), { ms: amount })
      assert.deepEqual(parseByteSize(formatByteSize({ bytes: amount })), { bytes: amount })
    }),
  )
})

test('units are read, and a bare number has none', () => {
  assert.deepEqual(parseDuration('1.5m'), { ms: 90_000 })
  assert.deepEqual(parseDuration('30d'), { ms: 30 * 86_400_000 })
  assert.equal(parseDuration('5'), undefined)
  assert.equal(parseDuration('-5s'), undefined)
  assert.deepEqual(parseByteSize('512MB'), { bytes: 512 * 1024 * 1024 })
  assert.deepEqual(parseByteSize('1 GiB'), { bytes: 1024 ** 3 })
  assert.equal(parseByteSize('5'), undefined)
})

test('amounts are described for people', () => {
  assert.deepEqual([37, 4200, 59_960, 200_000, 7_500_000, 200_000_000].map(describeElapsed), [
    '37 ms',
    '4.2 s',
    '1 min 0 s',
    '3 min 20 s',
    '2 h 5 min',
    '2 d 8 h',
  ])
  assert.deepEqual([0, 812, 16 * 1024 * 1024, 1.2 * 1024 ** 3].map(describeBytes), [
    '0 B',
    '812 B',
    '16.0 MB',
    '1.2 GB',
  ])
})
