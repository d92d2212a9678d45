import assert from 'node:assert/strict'
import { test } from 'node:test'
import { nearest } from './nearest.ts'

const keys = ['ttl', 'renew', 'dataDirectory', 'stateDirectory', 'passwordFile', 'port']

const cases: readonly (readonly [string, string | undefined])[] = [
  ['tll', 'ttl'],
  ['renwe', 'renew'],
  ['data_directory', 'dataDirectory'],
  ['dataDir', 'dataDirectory'],
  ['password', 'passwordFile'],
  ['prot', 'port'],
  ['user', undefined],
  ['x', undefined],
]

for (const [word, expected] of cases) {
  test(`${word} means ${expected ?? 'nothing known'}`, () => {
    assert.equal(nearest(word, keys), expected)
  })
}
