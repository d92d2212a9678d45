import assert from 'node:assert/strict'
import { test } from 'node:test'
import { meets, parseExpectation } from './expectation.ts'

test('what a query gives is compared as a number where both are one, else as text', () => {
  const cases: readonly (readonly [string | null, string, boolean])[] = [
    ['42', '42', true],
    ['42', '= 42', true],
    ['9', '> 10', false],
    ['10', '>9', true],
    ['9007199254740993', '<> 9007199254740992', true],
    ['0.5', '<= 0.50', true],
    ['t', 't', true],
    ['f', '<> f', false],
    ['', '', true],
    [null, '<> anything', false],
    ['b', '> a', true],
  ]
  for (const [found, expected, outcome] of cases) {
    assert.equal(meets(found, parseExpectation(expected)), outcome, `${found} ${expected}`)
  }
})
