import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import * as fc from 'fast-check'
import type { EpochMs } from '../../std/clock.ts'
import { decideJobs, endRun, mostAttempts } from './decide-jobs.ts'
import type { JobNews, JobView, JobsDecision, RunEnd } from './decide-jobs.ts'
import { jitterOf } from './jitter.ts'
import { decodeLedger, encodeLedger, freshLedger, keptGaps, keptMissed, keptRuns } from './ledger.ts'
import type { JobLedger, JobRun, Ledger } from './ledger.ts'

const hourMs = 3_600_000
const dayMs = 24 * hourMs
const time = (ms: number): EpochMs => ms as EpochMs
const two = (day: number): EpochMs => time(day * dayMs + 2 * hourMs)

interface Plan {
  readonly text?: string
  readonly everyMs?: number
  readonly offsetMs?: number
  readonly jitterMs?: number
  readonly makeUpWithinMs?: number
  readonly firstFor?: string | null
  readonly gaps?: readonly string[]
  readonly off?: boolean
}

/** A job at 02:00 every day, unless said otherwise, with the moments that a cron would give. */
function jobView(ledger: Ledger, now: number, plan: Plan = {}): JobView {
  const { everyMs = dayMs, offsetMs = 2 * hourMs, jitterMs = 0, makeUpWithinMs = dayMs } = plan
  const after = ledger['backup']?.settledTo ?? now
  const first = Math.floor((Math.min(after, now) - offsetMs) / everyMs) - 1
  const all = Array.from({ length: Math.floor((now - offsetMs) / everyMs) - first + 3 }, (_, index) =>
    time((first + index) * everyMs + offsetMs),
  )
  return {
    name: 'backup',
    schedule: plan.off
      ? null
      : {
          text: plan.text ?? '0 2 * * * UTC',
          jitterMs,
          seed: 'main backup',
          makeUpWithinMs,
          passed: all.filter((moment) => moment > after && moment <= now),
          exact: true,
          next: all.find((moment) => moment > now && moment > after) ?? null,
        },
    firstFor: plan.firstFor ?? null,
    gaps: plan.gaps ?? [],
  }
}

function decide(ledger: Ledger, now: number, plan: Plan = {}, runner = 'a'): JobsDecision {
  return decideJobs({ now: time(now), node: 'n1', runner, jobs: [jobView(ledger, now, plan)], ledger })
}

function entry(ledger: Ledger): JobLedger {
  assert.ok(ledger['backup'])
  return ledger['backup']
}

const ok: RunEnd = { outcome: 'ok', exitCode: 0, sizeBytes: 10, error: null, retry: false }
const failed: RunEnd = { outcome: 'failed', exitCode: 7, sizeBytes: null, error: 'no answer', retry: true }

function finish(ledger: Ledger, end: RunEnd, now: number): Ledger {
  const { running } = entry(ledger)
  assert.ok(running)
  return { ...ledger, backup: endRun(entry(ledger), running, { ...end, now: time(now), durationMs: 1000 }).ledger }
}

/** As it is after the run of day 0. */
function settled(): Ledger {
  return { backup: { ...freshLedger(two(0), '0 2 * * * UTC'), firstFor: 'local' } }
}

const passedOf = ({ schedule }: JobView): readonly EpochMs[] =>
  schedule === null || schedule === 'elsewhere' ? [] : schedule.passed

const missedOf = (news: readonly JobNews[]): readonly string[] =>
  news.flatMap((item) => (item.news === 'missed' ? [`${item.missed.count} ${item.missed.because}`] : []))

describe('a schedule', () => {
  test('owes nothing from before it was known, and wakes for its next moment', () => {
    const decision = decide({}, 10.5 * dayMs)
    assert.deepEqual([decision.start, decision.news, decision.wakeAt], [[], [], two(11)])
  })

  test('begins when its moment comes, once', () => {
    const decision = decide(settled(), two(1))
    assert.deepEqual(decision.start, [{ job: 'backup', order: { cause: 'schedule', moment: two(1), attempt: 1 } }])
    assert.deepEqual(decide(decision.ledger, two(1) + 5).start, [])
    const done = finish(decision.ledger, ok, two(1) + hourMs)
    assert.deepEqual(decide(done, two(1) + hourMs).start, [])
    assert.equal(decide(done, two(1) + hourMs).wakeAt, two(2))
  })

  test('begins after its jitter, the same after a restart', () => {
    const plan = { jitterMs: 30 * 60_000 }
    const delay = jitterOf(two(1), { ...plan, seed: 'main backup' })
    assert.ok(delay > 0 && delay <= plan.jitterMs)
    const before = decide(settled(), two(1) + delay - 1, plan)
    assert.deepEqual([before.start, before.wakeAt], [[], two(1) + delay])
    assert.equal(decide(before.ledger, two(1) + delay, plan, 'b').start.length, 1)
  })

  test('missed by less than the grace is made up; what lies before it is reported', () => {
    const decision = decide(settled(), two(4) + 5 * hourMs)
    assert.deepEqual(
      decision.start.map(({ order }) => order.moment),
      [two(4)],
    )
    assert.deepEqual(missedOf(decision.news), ['3 superseded'])
    assert.deepEqual(missedOf(decide(decision.ledger, two(4) + 6 * hourMs).news), [])
  })

  test('missed by more than the grace is reported once and not run', () => {
    const decision = decide(settled(), two(2) + 5 * hourMs, { makeUpWithinMs: hourMs })
    assert.deepEqual([decision.start, missedOf(decision.news)], [[], ['2 too-late']])
    assert.deepEqual(missedOf(decide(decision.ledger, two(2) + 6 * hourMs, { makeUpWithinMs: hourMs }).news), [])
  })

  test('may begin until the grace is over, and not a moment longer', () => {
    const plan = { makeUpWithinMs: hourMs }
    assert.equal(decide(settled(), two(1) + hourMs, plan).start.length, 1)
    assert.deepEqual(missedOf(decide(settled(), two(1) + hourMs + 1, plan).news), ['1 too-late'])
  })

  test('that is changed owes nothing for the time before', () => {
    const decision = decide(settled(), two(3), { text: '0 * * * * UTC', everyMs: hourMs, offsetMs: 0 })
    assert.deepEqual([decision.start, decision.news], [[], []])
  })

  test('is not run again by a clock that was set back, and not held up for ever by one that was far ahead', () => {
    const done = finish(decide(settled(), two(1)).ledger, ok, two(1) + 1000)
    assert.deepEqual(decide(done, two(1) - 3 * hourMs).start, [])
    assert.equal(decide(done, two(1) - 3 * hourMs).wakeAt, two(2))
    const wrong = finish(decide(settled(), two(500)).ledger, ok, two(500) + 1000)
    const back = decide(wrong, two(3) + hourMs)
    assert.deepEqual(
      back.news.map(({ news }) => news),
      ['clock-set-back'],
    )
    assert.equal(decide(back.ledger, two(3) + hourMs).wakeAt, two(4))
  })
})

describe('a run', () => {
  test('that was cut short by the end of its agent is made up at once by the next', () => {
    const running = decide(settled(), two(1)).ledger
    const decision = decide(running, two(1) + hourMs, {}, 'b')
    assert.deepEqual(
      decision.start.map(({ order }) => order),
      [{ cause: 'schedule', moment: two(1), attempt: 2 }],
    )
    assert.deepEqual(
      entry(decision.ledger).runs.map(({ outcome }) => outcome),
      ['interrupted'],
    )
  })

  test('that was cut short is reported missed when it is too late to make it up', () => {
    const running = decide(settled(), two(1)).ledger
    const decision = decide(running, two(1) + 5 * hourMs, { makeUpWithinMs: hourMs }, 'b')
    assert.deepEqual([decision.start, missedOf(decision.news)], [[], ['1 too-late']])
  })

  test('of a command is left alone while it says that it goes on', () => {
    const running = entry(decide(settled(), two(1)).ledger).running
    assert.ok(running)
    const alive = { backup: { ...entry(settled()), settledTo: two(1), running: { ...running, seenAt: two(1) } } }
    assert.deepEqual(decide(alive, two(1) + 30_000, {}, 'b').start, [])
    assert.equal(decide(alive, two(1) + 61_000, {}, 'b').start.length, 1)
  })

  test('that fails is tried again after growing waits, so many times, and then left at that', () => {
    let ledger = decide(settled(), two(1)).ledger
    let now: number = two(1)
    const waits: number[] = []
    for (;;) {
      ledger = finish(ledger, failed, now)
      const { wakeAt, ledger: next, start } = decide(ledger, now)
      assert.deepEqual(start, [])
      if (wakeAt === null || wakeAt >= two(2)) break
      waits.push(wakeAt - now)
      ledger = next
      now = wakeAt
      ledger = decide(ledger, now).ledger
    }
    assert.deepEqual(
      waits.map((ms) => ms / 60_000),
      [1, 5, 15, 60],
    )
    assert.equal(entry(ledger).runs.length, mostAttempts)
    assert.equal(entry(ledger).missed.length, 0)
  })

  test('that fails for good is not tried again', () => {
    const ledger = finish(decide(settled(), two(1)).ledger, { ...failed, retry: false }, two(1) + 10)
    assert.equal(decide(ledger, two(1) + 11).wakeAt, two(2))
  })

  test('that always takes the machine down with it is given up and reported', () => {
    let ledger = decide(settled(), two(1)).ledger
    const told: string[] = []
    for (let life = 1; life <= mostAttempts; life += 1) {
      const decision = decide(ledger, two(1) + life * 60_000, {}, `life ${life}`)
      told.push(...missedOf(decision.news))
      ledger = decision.ledger
    }
    assert.deepEqual(told, ['1 interrupted'])
    assert.equal(entry(ledger).running, null)
  })
})

describe('a run outside the schedule', () => {
  const plan: Plan = { firstFor: 'local', off: true }

  test('is begun once where there is no backup yet', () => {
    const decision = decide({}, 1000, plan)
    assert.deepEqual(
      decision.start.map(({ order }) => order.cause),
      ['first'],
    )
    const done = finish(decision.ledger, { ...failed, retry: false }, 2000)
    assert.deepEqual(decide(done, 3000, plan).start, [])
    assert.equal(decide(done, 3000, { ...plan, firstFor: 'other' }).start.length, 1)
  })

  test('is begun once for a gap, also when it appears during a run', () => {
    const first = decide({}, 1000, plan)
    const during = decide(first.ledger, 1500, { ...plan, gaps: ['1 0/1-0/2'] })
    assert.deepEqual(during.start, [])
    const after = decide(finish(during.ledger, ok, 2000), 2000, { ...plan, gaps: ['1 0/1-0/2'] })
    assert.deepEqual(
      after.start.map(({ order }) => order.cause),
      ['gap'],
    )
    const done = finish(after.ledger, ok, 3000)
    assert.deepEqual(decide(done, 4000, { ...plan, gaps: ['1 0/1-0/2'] }).start, [])
    assert.equal(decide(done, 4000, { ...plan, gaps: ['1 0/1-0/2', '1 0/5-0/6'] }).start.length, 1)
  })

  test('for a gap is not content with an old backup when the first one is wanted as well', () => {
    const decision = decide({}, 1000, { ...plan, gaps: ['1 0/1-0/2'] })
    assert.deepEqual(
      decision.start.map(({ order }) => order.cause),
      ['gap'],
    )
  })
})

test('a ledger comes back as it was written, and does not grow without bound', () => {
  let ledger: Ledger = settled()
  const gaps: string[] = []
  for (let day = 1; day <= 200; day += 1) {
    gaps.push(`1 0/${day}-0/${day + 1}`)
    ledger = decide(ledger, two(day * 3), { gaps: gaps.slice(-keptGaps) }, `${day}`).ledger
    if (entry(ledger).running !== null && day % 3 !== 0) ledger = finish(ledger, failed, two(day * 3) + 1000)
    assert.deepEqual(decodeLedger(encodeLedger(ledger)), ledger)
  }
  const { runs, missed, gaps: known } = entry(ledger)
  assert.deepEqual([runs.length, missed.length, known.length], [keptRuns, keptMissed, keptGaps])
  assert.ok(encodeLedger(ledger).length < 8000)
})

/**
 * Law: whatever happens (leaders that die, change or come late, clocks that jump, runs that fail or hang), every moment of
 * the schedule up to `settledTo` comes to exactly one end: a run that came to its end, or a report that it was missed;
 * except the one that is being run or waits for its next try. And at most one run goes on at a time.
 */
test('every moment is run exactly once or reported missed exactly once', () => {
  const step = fc.oneof(
    {
      weight: 6,
      arbitrary: fc.record({ do: fc.constant('wait' as const), ms: fc.integer({ min: 1, max: 6 * hourMs }) }),
    },
    {
      weight: 2,
      arbitrary: fc.record({ do: fc.constant('outage' as const), ms: fc.integer({ min: 1, max: 9 * dayMs }) }),
    },
    {
      weight: 2,
      arbitrary: fc.record({ do: fc.constant('failover' as const), ms: fc.integer({ min: 0, max: 60_000 }) }),
    },
    {
      weight: 3,
      arbitrary: fc.record({
        do: fc.constantFrom('ok' as const, 'degraded' as const),
        ms: fc.integer({ min: 1, max: 3 * hourMs }),
      }),
    },
    {
      weight: 3,
      arbitrary: fc.record({
        do: fc.constantFrom('failed' as const, 'refused' as const),
        ms: fc.integer({ min: 1, max: 3 * hourMs }),
      }),
    },
    {
      weight: 1,
      arbitrary: fc.record({
        do: fc.constant('clock' as const),
        ms: fc.integer({ min: -20 * hourMs, max: 40 * hourMs }),
      }),
    },
    { weight: 1, arbitrary: fc.record({ do: fc.constant('gap' as const), ms: fc.constant(1) }) },
  )
  const plans = fc.record({
    everyMs: fc.constantFrom(hourMs, 6 * hourMs, dayMs),
    jitterMs: fc.constantFrom(0, 20 * 60_000, 2 * hourMs),
    makeUpWithinMs: fc.constantFrom(0, hourMs, dayMs),
  })
  fc.assert(
    fc.property(plans, fc.array(step, { maxLength: 60 }), (plan, steps) => {
      let now = 100 * dayMs
      let runner = 0
      const gaps: string[] = []
      const runs: JobRun[] = []
      const missed: { from: number; to: number; count: number }[] = []
      let ledger: Ledger = {}
      const hear = (news: readonly JobNews[]): void => {
        for (const item of news) {
          if (item.news === 'ended') runs.push(item.run)
          if (item.news === 'missed') missed.push(item.missed)
        }
      }
      const look = (): void => {
        for (let again = 0; again < 3; again += 1) {
          const before = ledger['backup']?.running ?? null
          const decision = decide(ledger, now, { ...plan, firstFor: 'local', gaps }, `${runner}`)
          hear(decision.news)
          ledger = decision.ledger
          if (before?.runner === `${runner}`) assert.deepEqual(decision.start, [], 'one run at a time')
          assert.equal(entry(ledger).running !== null, before?.runner === `${runner}` || decision.start.length > 0)
        }
      }
      look()
      const begin = now
      for (const { do: what, ms } of steps) {
        // A clock that is set back by more than a day is another law.
        now = Math.max(now + ms, entry(ledger).settledTo - 23 * hourMs)
        if (what === 'outage' || what === 'failover') runner += 1
        if (what === 'gap') gaps.push(`${gaps.length}`)
        const { running } = entry(ledger)
        if (running?.runner === `${runner}` && what !== 'wait' && what !== 'clock' && what !== 'gap') {
          const end =
            what === 'ok'
              ? ok
              : { ...failed, outcome: what === 'degraded' ? what : ('failed' as const), retry: what === 'failed' }
          const ended = endRun(entry(ledger), running, { ...end, now: time(now), durationMs: 1 })
          hear([{ news: 'ended', job: 'backup', run: ended.run }])
          if (ended.missed) missed.push(ended.missed)
          ledger = { backup: ended.ledger }
        }
        look()
      }
      const { settledTo, running, retry } = entry(ledger)
      const view = jobView({ backup: { ...entry(ledger), settledTo: time(begin) } }, Math.max(settledTo, begin), plan)
      for (const moment of passedOf(view)) {
        const tries = runs.filter((run) => run.moment === moment)
        const reports = missed.filter(({ from, to }) => from <= moment && moment <= to).length
        const open = running?.moment === moment || retry?.moment === moment
        const done = tries.at(-1) !== undefined && tries.at(-1)?.outcome !== 'interrupted' ? 1 : 0
        assert.equal(
          open ? 1 + reports : done + reports,
          1,
          `moment ${moment - begin}: ${tries.length} tries, ${reports} reports`,
        )
        assert.ok(tries.filter(({ outcome }) => outcome === 'ok' || outcome === 'degraded').length <= 1)
        assert.ok(tries.length <= mostAttempts)
      }
      const counted = missed.reduce((sum, { count }) => sum + count, 0)
      const covered = passedOf(view).filter((moment) => missed.some(({ from, to }) => from <= moment && moment <= to))
      assert.equal(counted, covered.length, 'reports count what they cover')
    }),
    { numRuns: 400 },
  )
})
