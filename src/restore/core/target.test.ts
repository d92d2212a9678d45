import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { describeRecoveryTarget, formatMicros, parseMoment } from './target.ts'

test('a moment keeps its microseconds', () => {
  const cases: readonly (readonly [string, string])[] = [
    ['2026-11-22 13:00:00.123456+00', '2026-11-22 13:00:00.123456+00'],
    ['2026-11-22 13:00:00.123456+02', '2026-11-22 11:00:00.123456+00'],
    ['2026-11-22T13:00:00,5-0330', '2026-11-22 16:30:00.500000+00'],
    ['2026-11-22T13:00Z', '2026-11-22 13:00:00.000000+00'],
    ['2026-11-22 13:00:00 UTC', '2026-11-22 13:00:00.000000+00'],
    ['1969-12-31 23:59:59.999999+00', '1969-12-31 23:59:59.999999+00'],
    ['2026-11-22 13:00:00.1234567+00', '2026-11-22 13:00:00.123456+00'],
  ]
  for (const [text, expected] of cases) assert.equal(formatMicros(parseMoment(text) ?? -1n), expected, text)
})

test('a moment without a time zone, or that does not exist, is none', () => {
  for (const text of ['2026-11-22 13:00:00', '2026-13-22 13:00:00Z', 'yesterday', '', '13:00Z', '2026-11-22Z']) {
    assert.equal(parseMoment(text), undefined, text)
  }
})

test('law: every moment reads back as it was written', () => {
  fc.assert(
    fc.property(fc.bigInt({ min: -(10n ** 15n), max: 4n * 10n ** 15n }), (micros) => {
      assert.equal(parseMoment(formatMicros(micros)), micros)
    }),
  )
})

test('targets are said in words', () => {
  assert.equal(describeRecoveryTarget({ kind: 'xid', xid: 735n, inclusive: true }), 'transaction 735')
  assert.equal(describeRecoveryTarget({ kind: 'xid', xid: 735n, inclusive: false }), 'just before transaction 735')
  assert.equal(describeRecoveryTarget({ kind: 'name', name: 'release' }), 'restore point "release"')
})
