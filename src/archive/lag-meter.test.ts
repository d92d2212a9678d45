import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Clock, EpochMs, MonotonicMs } from '../std/clock.ts'
import type { Lsn } from '../wal/core/lsn.ts'
import { createLagMeter } from './lag-meter.ts'

test('what was caught up is as old as what the server said last, and the rate is that of what became durable', () => {
  let now = 1000
  const clock = { wall: () => now as EpochMs, monotonic: () => now as MonotonicMs } as Clock
  const meter = createLagMeter(clock)
  assert.deepEqual(meter.read(), { heardAt: null, caughtUpAt: null, bytesPerSecond: 0 })
  meter.heard()
  meter.note({ serverLsn: 100n as Lsn, durableLsn: 50n as Lsn })
  assert.equal(meter.read().caughtUpAt, null)
  now = 3000
  meter.note({ serverLsn: 100n as Lsn, durableLsn: 100n as Lsn })
  assert.deepEqual(meter.read(), { heardAt: 1000, caughtUpAt: 1000, bytesPerSecond: 25 })
  now = 60_000
  meter.note({ serverLsn: 100n as Lsn, durableLsn: 100n as Lsn })
  assert.equal(meter.read().caughtUpAt, 1000, 'a server that says nothing does not count as one that writes nothing')
  for (now = 61_000; now < 200_000; now += 1000) meter.note({ serverLsn: 100n as Lsn, durableLsn: 100n as Lsn })
  assert.equal(meter.read().bytesPerSecond, 0, 'what was a minute ago is past')
})
