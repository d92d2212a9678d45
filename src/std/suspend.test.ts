import assert from 'node:assert/strict'
import { test } from 'node:test'
import { systemClock, type BoottimeMs, type MonotonicMs } from './clock.ts'
import { createSuspendDetector } from './suspend.ts'

test('time that passed only on the boottime clock is sleep, reported once', () => {
  let monotonic = 1000
  let boottime = 5000
  const clock = { ...systemClock, monotonic: () => monotonic as MonotonicMs, boottime: () => boottime as BoottimeMs }
  const detector = createSuspendDetector(clock)
  monotonic += 700
  boottime += 710
  assert.equal(detector.sleptMs(), 0)
  monotonic += 5
  boottime += 60_005
  assert.equal(detector.sleptMs(), 60_000)
  assert.equal(detector.sleptMs(), 0)
})

test('the clocks of this machine agree while it is awake', async () => {
  const detector = createSuspendDetector(systemClock)
  await systemClock.sleep(30)
  assert.equal(detector.sleptMs(), 0)
})
