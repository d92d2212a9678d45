import assert from 'node:assert/strict'
import { test } from 'node:test'
import { seededRandom } from './random.ts'

test('the same seed gives the same numbers, another seed others, all from 0 up to 1', () => {
  const take = (seed: number): number[] => Array.from({ length: 1000 }, seededRandom(seed))
  assert.deepEqual(take(7), take(7))
  assert.notDeepEqual(take(7), take(8))
  const numbers = take(42)
  assert.ok(numbers.every((number) => number >= 0 && number < 1))
  const mean = numbers.reduce((sum, number) => sum + number, 0) / numbers.length
  assert.ok(Math.abs(mean - 0.5) < 0.05, `mean ${mean}`)
})
