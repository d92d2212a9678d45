import assert from 'node:assert/strict'
import { test } from 'node:test'
import { pathInCopy } from './unprivileged.ts'

test('the search path of a copied program leads into the copy', () => {
  const before = '/root/clone/node_modules/.bin:/usr/bin:/root/clone-of-another/bin'
  const after = '/tmp/hf-x/program/node_modules/.bin:/usr/bin:/root/clone-of-another/bin'
  assert.equal(pathInCopy(before, '/root/clone', '/tmp/hf-x/program'), after)
})
