import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { Coordinator, LeaseId } from '../../coordinator/coordinator.ts'
import { systemClock } from '../../std/clock.ts'
import type { BoottimeMs, Clock, EpochMs, MonotonicMs } from '../../std/clock.ts'
import { openLog } from '../../std/log.ts'
import type { FencerClient } from '../fencer/fencer-client.ts'
import { LeaseKeeper } from './lease-keeper.ts'

/** Only what the keeper asks of its neighbours; the coordinator answers as the test says. */
function scene() {
  const time = { wallMs: 1_000_000, monotonicMs: 5000, suspendedMs: 0 }
  const answers = { alive: true, armed: true }
  const clock: Clock = {
    wall: () => time.wallMs as EpochMs,
    monotonic: () => time.monotonicMs as MonotonicMs,
    boottime: () => (time.monotonicMs + time.suspendedMs) as BoottimeMs,
    sleep: (ms, options) => systemClock.sleep(ms, options),
  }
  let changes = 0
  const keeper = new LeaseKeeper({
    coordinator: { keepAlive: async () => answers.alive } as Partial<Coordinator> as Coordinator,
    clock,
    ttlMs: 5000,
    renewMs: 500,
    log: openLog({ level: 'error' }),
    fencer: () =>
      ({
        arm: async () => (answers.armed ? { armed: true } : { armed: false, because: 'suspended' }),
      }) as Partial<FencerClient> as FencerClient,
    onChange: () => (changes += 1),
    signal: AbortSignal.timeout(60_000),
  })
  return { time, answers, keeper, clock, heldTerm: () => keeper.held?.term ?? null, changes: () => changes }
}

const lease = 'lease' as unknown as LeaseId

describe('the lease of a leader and its clocks', () => {
  it('holds whatever the time of day does, and ends by the monotonic clock', async () => {
    const { time, keeper, clock, heldTerm } = scene()
    assert.ok(await keeper.hold(lease, 3, clock.monotonic()))
    for (const step of [-3_600_000, 7_200_000]) {
      time.wallMs += step
      assert.equal(heldTerm(), 3)
    }
    time.monotonicMs += 5000
    assert.equal(heldTerm(), null)
  })

  it('does not hold on a machine that has slept, until the coordinator has confirmed it anew', async () => {
    const { time, keeper, clock, answers, heldTerm, changes } = scene()
    assert.ok(await keeper.hold(lease, 3, clock.monotonic()))
    time.suspendedMs += 1500
    assert.equal(heldTerm(), null)
    await keeper.rearm()
    assert.equal(heldTerm(), 3)
    time.suspendedMs += 60_000
    answers.alive = false
    await keeper.rearm()
    assert.equal(heldTerm(), null)
    assert.equal(keeper.leaderLease, null)
    assert.equal(changes(), 1)
  })

  it('is given up when the fencer saw the machine sleep', async () => {
    const { keeper, clock, answers, heldTerm } = scene()
    assert.ok(await keeper.hold(lease, 3, clock.monotonic()))
    answers.armed = false
    await keeper.rearm()
    assert.equal(heldTerm(), null)
  })
})
