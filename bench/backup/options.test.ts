import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseBenchmarkOptions } from './options.ts'

test('without options it is the whole comparison', () => {
  const options = parseBenchmarkOptions([])
  assert.deepEqual([options.runs, options.scale, options.randomMegabytes, options.level], [3, 150, 300, 3])
  assert.equal(options.peers, undefined)
  assert.ok(options.tasks.has('full') && options.tasks.has('restore'))
})

test('what cannot be used is named', () => {
  for (const [words, message] of [
    [['--runs', '0'], /--runs 0: expected a whole number above 0/],
    [['--scale', 'x'], /--scale x/],
    [['--tasks', 'full,nap'], /--tasks nap: expected some of full/],
    [['--fast'], /fast/],
  ] as const) {
    assert.throws(() => parseBenchmarkOptions(words), message)
  }
})
