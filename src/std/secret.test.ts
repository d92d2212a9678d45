import assert from 'node:assert/strict'
import { test } from 'node:test'
import { inspect } from 'node:util'
import { Secret } from './secret.ts'

test('a secret prints as redacted wherever it is printed, and reveals itself only when asked', () => {
  const secret = new Secret('hunter2')
  const printed = [JSON.stringify({ secret }), inspect({ secret }, { depth: 5 }), String(secret)]
  for (const text of printed) {
    assert.match(text, /\[redacted\]/)
    assert.doesNotMatch(text, /hunter2/)
  }
  assert.equal(secret.reveal(), 'hunter2')
})
