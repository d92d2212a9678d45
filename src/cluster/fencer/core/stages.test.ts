import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import * as fc from 'fast-check'
import type { MonotonicMs } from '../../../std/clock.ts'
import type { FencingStage, LeaseDeadline } from './protocol.ts'
import type { StageDecision } from './stages.ts'
import { decideStage, defaultFencerTiming, judgeArm, stageAt } from './stages.ts'

const timing = { fastBeforeMs: 1500, immediateBeforeMs: 500, killBeforeMs: 50, suspendLimitMs: 1000 }
const ms = (value: number): MonotonicMs => value as MonotonicMs
const leaseUntil = (deadline: number, term = 1): LeaseDeadline => ({ term, deadline: ms(deadline), suspendedMs: 0 })
const stages: readonly (FencingStage | null)[] = [null, 'fast', 'immediate', 'kill']

function decide(now: number, stage: FencingStage | null, suspendedMs = 0): StageDecision {
  return decideStage({ now: ms(now), suspendedMs, lease: leaseUntil(10_000), stage }, timing)
}

describe('stages of fencing before a deadline at 10 000 ms', () => {
  const table: readonly [now: number, before: FencingStage | null, due: FencingStage | null, wakeAt: number | null][] =
    [
      [0, null, null, 250],
      [8300, null, null, 8500],
      [8499.999, null, null, 8500],
      [8500, null, 'fast', 8750],
      [8500, 'fast', null, 8750],
      [9400, 'fast', null, 9500],
      [9500, 'fast', 'immediate', 9750],
      [9500, null, 'immediate', 9750],
      [9900, 'immediate', null, 9950],
      [9950, 'immediate', 'kill', null],
      [9950, null, 'kill', null],
      [9950, 'kill', null, null],
      [1e9, null, 'kill', null],
      [1e9, 'fast', 'kill', null],
    ]
  for (const [now, before, due, wakeAt] of table) {
    it(`at ${now} after ${before ?? 'nothing'}: ${due ?? 'nothing'}, again at ${wakeAt ?? 'never'}`, () => {
      assert.deepEqual(decide(now, before), { stage: due, cause: 'deadline', wakeAt })
    })
  }

  it('kills at once after a suspend, which makes the age of the lease unknown', () => {
    assert.deepEqual(decide(0, null, 1000), { stage: null, cause: 'deadline', wakeAt: 250 })
    assert.deepEqual(decide(0, null, 1001), { stage: 'kill', cause: 'suspend', wakeAt: null })
    assert.deepEqual(decide(0, 'fast', 1001), { stage: 'kill', cause: 'suspend', wakeAt: null })
    assert.deepEqual(decide(0, 'kill', 1001), { stage: null, cause: 'suspend', wakeAt: null })
  })
})

describe('laws of fencing', () => {
  const moments = fc.double({ min: 0, max: 20_000, noNaN: true })

  it('L1: whoever sleeps until each wake-up, however late, has killed at the deadline or at the first one after', () => {
    fc.assert(
      fc.property(moments, fc.array(fc.double({ min: 0, max: 4000, noNaN: true })), (start, delays) => {
        let now = start
        let stage: FencingStage | null = null
        for (let step = 0; step < 200; step += 1) {
          const decision = decide(now, stage)
          stage = decision.stage ?? stage
          assert.ok(now < 10_000 - timing.killBeforeMs || stage === 'kill')
          if (decision.wakeAt === null) break
          assert.ok(decision.wakeAt > now)
          now = decision.wakeAt + (delays[step] ?? 0)
        }
        assert.equal(stage, 'kill')
      }),
    )
  })

  it('never goes back: what is due is harder than what was done, and only then', () => {
    fc.assert(
      fc.property(moments, fc.constantFrom(...stages), fc.double({ min: 0, max: 3000 }), (now, before, suspended) => {
        const { stage } = decide(now, before, suspended)
        assert.ok(stage === null || stages.indexOf(stage) > stages.indexOf(before))
      }),
    )
  })

  it('does nothing long before the deadline of an unbroken lease', () => {
    fc.assert(
      fc.property(fc.double({ min: 0, max: 8499, noNaN: true }), (now) => assert.equal(decide(now, null).stage, null)),
    )
  })
})

describe('arming', () => {
  const view = { now: ms(1000), suspendedMs: 0, highestTerm: 5, armed: null, fencing: false }

  it('takes a lease of the same or a newer term', () => {
    for (const term of [5, 6]) {
      const lease = leaseUntil(6000, term)
      assert.deepEqual(judgeArm(view, lease, timing), { lease })
    }
  })

  it('refuses an older term, a deadline within the first stage, a suspend since, and anything while fencing', () => {
    assert.deepEqual(judgeArm(view, leaseUntil(6000, 4), timing), { because: 'older-term' })
    assert.deepEqual(judgeArm(view, leaseUntil(2500, 5), timing), { because: 'too-late' })
    assert.deepEqual(judgeArm({ ...view, suspendedMs: 1001 }, leaseUntil(6000, 5), timing), { because: 'suspended' })
    assert.deepEqual(judgeArm({ ...view, fencing: true }, leaseUntil(6000, 6), timing), { because: 'fencing' })
  })

  it('keeps the latest deadline of a term, whatever order the renewals arrive in', () => {
    const armed = leaseUntil(7000, 5)
    assert.deepEqual(judgeArm({ ...view, armed }, leaseUntil(6500, 5), timing), { lease: armed })
    const later = leaseUntil(7500, 5)
    assert.deepEqual(judgeArm({ ...view, armed }, later, timing), { lease: later })
    const newer = leaseUntil(6500, 6)
    assert.deepEqual(judgeArm({ ...view, armed }, newer, timing), { lease: newer })
  })

  it('never gives a lease whose first stage is due already', () => {
    fc.assert(
      fc.property(fc.double({ min: 0, max: 9000, noNaN: true }), (deadline) => {
        const { lease } = judgeArm(view, leaseUntil(deadline, 5), timing)
        assert.ok(lease === undefined || stageAt('fast', lease.deadline, timing) > view.now)
      }),
    )
  })
})

it('leaves each stage time before the next by default', () => {
  const { fastBeforeMs, immediateBeforeMs, killBeforeMs } = defaultFencerTiming
  assert.ok(fastBeforeMs > immediateBeforeMs && immediateBeforeMs > killBeforeMs && killBeforeMs > 0)
})
