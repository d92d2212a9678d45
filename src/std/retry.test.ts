import assert from 'node:assert/strict'
import { test } from 'node:test'
import { systemClock, type Clock } from './clock.ts'
import { retry } from './retry.ts'

function recordingClock(waits: number[]): Clock {
  return { ...systemClock, sleep: (ms) => Promise.resolve(void waits.push(ms)) }
}

test('waits double up to the longest, and the last error is thrown when the tries are used up', async () => {
  const waits: number[] = []
  const options = { clock: recordingClock(waits), attempts: 5, firstWaitMs: 100, longestWaitMs: 300, random: () => 0.5 }
  let tries = 0
  await assert.rejects(
    retry(() => Promise.reject(new Error(`try ${(tries += 1)}`)), options),
    /try 5/,
  )
  assert.deepEqual(waits, [100, 200, 300, 300])
})

test('an error that another try cannot mend is thrown at once', async () => {
  const options = { clock: recordingClock([]), attempts: 5, firstWaitMs: 1, longestWaitMs: 1, random: () => 0 }
  let tries = 0
  const work = (): Promise<never> => Promise.reject(new Error(`try ${(tries += 1)}`))
  await assert.rejects(retry(work, { ...options, worthwhile: () => false }), /try 1/)
})

test('the result of the first try that succeeds comes back', async () => {
  const options = { clock: recordingClock([]), attempts: 3, firstWaitMs: 1, longestWaitMs: 1, random: () => 0 }
  const result = await retry(
    (attempt) => (attempt < 3 ? Promise.reject(new Error('no')) : Promise.resolve(attempt)),
    options,
  )
  assert.equal(result, 3)
})
