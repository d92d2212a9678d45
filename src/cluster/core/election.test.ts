import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import * as fc from 'fast-check'
import type { MonotonicMs } from '../../std/clock.ts'
import type { Lsn, TimelineId } from '../../wal/core/lsn.ts'
import { elect } from './election.ts'
import type { Election } from './election.ts'
import { member, state } from './view.fixture.ts'
import type { MemberEntry, StateEntry } from './keys.ts'

const absentSince = 1000 as MonotonicMs

function ask(self: string, members: readonly MemberEntry[], agreed: StateEntry, elapsedMs = 0): Election {
  const now = (absentSince + elapsedMs) as MonotonicMs
  return elect({ now, self, state: agreed, members, leaderAbsentSince: absentSince })
}

const quorum = state({ term: 4, leader: 'a', voters: { names: ['b', 'c'], needed: 2 } })
const frozen = (node: string, lsn: number, timeline = 1, more: Partial<MemberEntry> = {}): MemberEntry =>
  member(node, { flushLsn: BigInt(lsn) as Lsn, timeline: timeline as TimelineId, frozenForTerm: 4, ...more })

describe('elect', () => {
  it('lets the voter with the most WAL stand once enough have reported (HA-022)', () => {
    const members = [frozen('b', 100), frozen('c', 90)]
    assert.equal(ask('b', members, quorum).outcome, 'stand')
    assert.match(ask('c', members, quorum).text, /b holds more WAL/)
  })

  it('waits while too few voters have reported, for however long, and names them (HA-023)', () => {
    const waiting = ask('b', [frozen('b', 100)], quorum, 3_600_000)
    assert.equal(waiting.outcome, 'wait')
    assert.match(waiting.text, /1 of 2 needed votes; missing: c/)
  })

  it('does not count a report for an older term', () => {
    assert.equal(ask('b', [frozen('b', 100), frozen('c', 90, 1, { frozenForTerm: 3 })], quorum).outcome, 'wait')
  })

  it('never lets a node stand that was not in the durability set, however much it holds', () => {
    const members = [frozen('b', 100), frozen('c', 90), frozen('d', 500)]
    assert.match(ask('d', members, quorum, 60_000).text, /not in the durability set/)
    assert.equal(ask('b', members, quorum).outcome, 'stand')
  })

  it('puts the later timeline before the higher position: it was written in a later term', () => {
    const members = [frozen('b', 500, 1), frozen('c', 90, 2)]
    assert.equal(ask('b', members, quorum, 60_000).outcome, 'wait')
    assert.equal(ask('c', members, quorum).outcome, 'stand')
  })

  it('counts the vote of a node that may not lead, and waits rather than lose what only it has', () => {
    const members = [frozen('b', 90), frozen('c', 100, 1, { eligible: false })]
    assert.equal(ask('b', members, quorum, 60_000).outcome, 'wait')
    assert.equal(ask('c', members, quorum, 60_000).outcome, 'wait')
  })

  it('prefers among equals the asked-for node, then the priority, then the name; the next may stand after a grace', () => {
    const equal = [frozen('b', 100), frozen('c', 100)]
    assert.equal(ask('b', equal, quorum).outcome, 'stand')
    assert.equal(ask('c', equal, quorum).outcome, 'wait')
    assert.equal(ask('c', equal, quorum, 1000).outcome, 'stand')
    assert.equal(ask('c', equal, { ...quorum, preferred: 'c' }).outcome, 'stand')
    assert.equal(ask('c', [frozen('b', 100), frozen('c', 100, 1, { priority: 200 })], quorum).outcome, 'stand')
  })

  it('with durability async waits for the members that live, but not for ever, and takes the best that reported', () => {
    const loose = state({ term: 4, leader: 'a', mode: 'async', voters: { names: ['a'], needed: 1 } })
    const members = [frozen('b', 100), frozen('c', 120, 1, { frozenForTerm: null })]
    assert.equal(ask('b', members, loose).outcome, 'wait')
    assert.equal(ask('b', members, loose, 1000).outcome, 'stand')
    assert.equal(ask('b', [frozen('b', 100), frozen('c', 120)], loose, 0).outcome, 'wait')
    assert.equal(ask('c', [frozen('b', 100), frozen('c', 120)], loose, 0).outcome, 'stand')
  })

  it('never lets a voter stand that holds less than another vote that was counted (L2)', () => {
    const names = ['a', 'b', 'c', 'd']
    const report = fc.record({
      lsn: fc.integer({ min: 1, max: 4 }),
      timeline: fc.integer({ min: 1, max: 3 }),
      term: fc.integer({ min: 3, max: 4 }),
      eligible: fc.boolean(),
    })
    fc.assert(
      fc.property(
        fc.array(report, { minLength: 4, maxLength: 4 }),
        fc.subarray(names, { minLength: 1 }),
        fc.integer({ min: 1, max: 4 }),
        fc.nat({ max: 5000 }),
        (reports, voterNames, needed, elapsedMs) => {
          const agreed = state({ term: 4, leader: 'x', voters: { names: voterNames, needed } })
          const members = reports.map((own, index) =>
            frozen(names[index] ?? '', own.lsn, own.timeline, { frozenForTerm: own.term, eligible: own.eligible }),
          )
          const votes = members.filter((vote) => vote.frozenForTerm === 4 && voterNames.includes(vote.node))
          for (const candidate of members) {
            if (ask(candidate.node, members, agreed, elapsedMs).outcome !== 'stand') continue
            assert.ok(votes.length >= needed && votes.includes(candidate) && candidate.eligible)
            for (const vote of votes) assert.ok(data(vote) <= data(candidate))
          }
        },
      ),
      { numRuns: 2000 },
    )
  })
})

function data({ timeline, flushLsn }: MemberEntry): number {
  return (timeline ?? 0) * 1000 + Number(flushLsn)
}
