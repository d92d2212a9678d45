import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import * as fc from 'fast-check'
import type { EpochMs, MonotonicMs } from '../../std/clock.ts'
import type { Lsn, TimelineId } from '../../wal/core/lsn.ts'
import { decide } from './decide.ts'
import { leaseDeadline, leaseHolds } from './lease.ts'
import { descendsFrom, relate } from './lineage.ts'
import type { Lineage } from './lineage.ts'
import {
  cluster,
  data,
  leaderMemory,
  memory,
  member,
  now,
  primary,
  standby,
  standbyView,
  state,
} from './view.fixture.ts'
import { isSafe } from './sync-set.ts'
import type { ServerView, View } from './view.ts'

const names = ['a', 'b', 'c'] as const
const name = fc.constantFrom(...names)
const lsn = fc.integer({ min: 1, max: 3 }).map((part) => BigInt(part * 500) as Lsn)
const lineage: fc.Arbitrary<Lineage> = fc.constantFrom(
  { timeline: 1 as TimelineId, left: [] },
  { timeline: 2 as TimelineId, left: [{ timeline: 1 as TimelineId, at: 1000n as Lsn }] },
  { timeline: 3 as TimelineId, left: [{ timeline: 1 as TimelineId, at: 500n as Lsn }] },
)
const term = fc.integer({ min: 3, max: 5 })
const server: fc.Arbitrary<ServerView> = fc.oneof(
  fc.constant<ServerView>({ status: 'stopped', crashedAt: null }),
  fc.constant<ServerView>({ status: 'starting', since: (now - 60_000) as MonotonicMs }),
  fc.constant<ServerView>({ status: 'silent', since: (now - 60_000) as MonotonicMs }),
  lineage.map((way): ServerView => primary({ lineage: way })),
  fc
    .record({
      way: lineage,
      end: fc.option(lsn),
      receiving: fc.boolean(),
      upstream: fc.constantFrom(null, 'host-a:5432'),
    })
    .map(({ way, end, receiving, upstream }): ServerView =>
      standby({ lineage: way, endLsn: end, receiving, upstream }),
    ),
)

/** Any combination of what a node may see, also those that should never come about. */
const anyView: fc.Arbitrary<View> = fc
  .record({
    self: name,
    server,
    leader: fc.option(fc.record({ node: name, term })),
    agreed: fc.record({
      term,
      leader: name,
      promoted: fc.boolean(),
      lineage,
      mode: fc.constantFrom('async', 'quorum', 'strict'),
      voters: fc.subarray([...names]),
      needed: fc.integer({ min: 1, max: 3 }),
    }),
    lease: fc.option(fc.record({ term, leftMs: fc.integer({ min: -100, max: 4000 }) })),
    frozen: fc.option(term),
    reports: fc.array(fc.record({ node: name, frozen: fc.option(term), lsn }), { maxLength: 3 }),
    present: fc.boolean(),
    foreign: fc.boolean(),
    way: lineage,
    writable: fc.option(term),
    crashes: fc.integer({ min: 0, max: 4 }),
    recoveryBytes: fc.constantFrom(0, 2 ** 32),
    paused: fc.boolean(),
    leaving: fc.boolean(),
  })
  .map((seen) => {
    const base = standbyView()
    const agreed = state({ ...seen.agreed, voters: { names: seen.agreed.voters, needed: seen.agreed.needed } })
    return standbyView({
      self: { ...base.self, node: seen.self, leaving: seen.leaving },
      server: seen.server,
      data: seen.present
        ? data({ lineage: seen.way, systemIdentifier: seen.foreign ? '8' : '7', recoveryBytes: seen.recoveryBytes })
        : { status: 'empty' },
      lease: seen.lease === null ? null : { term: seen.lease.term, deadline: (now + seen.lease.leftMs) as MonotonicMs },
      memory: {
        ...(seen.server.status === 'primary' ? leaderMemory() : memory()),
        frozenForTerm: seen.frozen,
        writableTerm: seen.writable,
        crashes: Array.from({ length: seen.crashes }, () => (now - 1000) as MonotonicMs),
      },
      coordinator: {
        status: 'read',
        cluster: cluster({
          leader: { value: seen.leader, revision: seen.leader === null ? 0 : 5 },
          state: { value: agreed, revision: 9 },
          members: seen.reports.map((report) =>
            member(report.node, { frozenForTerm: report.frozen, flushLsn: report.lsn }),
          ),
          pause: seen.paused ? { since: 0 as EpochMs, because: 'test' } : null,
        }),
      },
    })
  })

function law(check: (view: View, commands: ReturnType<typeof decide>['commands']) => void): void {
  fc.assert(
    fc.property(anyView, (view) => check(view, decide(view).commands)),
    { numRuns: 5000 },
  )
}

function seen(view: View): ReturnType<typeof cluster> {
  assert.ok(view.coordinator.status === 'read')
  return view.coordinator.cluster
}

describe('laws of decide', () => {
  it('L1: makes a primary only under a lease that holds, of the term that the coordinator names for this node', () => {
    law((view, commands) => {
      for (const command of commands) {
        const makes = command.command === 'promote' || (command.command === 'start' && command.as === 'primary')
        if (!makes) continue
        assert.ok(leaseHolds(view.lease, view.now))
        const { leader, state: agreed } = seen(view)
        assert.equal(leader.value?.node, view.self.node)
        assert.deepEqual([leader.value?.term, agreed.value?.term], [view.lease.term, view.lease.term])
      }
    })
  })

  it('L1: stops a primary whose lease is over before anything else', () => {
    law((view, commands) => {
      if (view.server.status !== 'primary' || leaseHolds(view.lease, view.now)) return
      assert.equal(commands[0]?.command, 'stop')
    })
  })

  it('L1: gives up the lease only when no server of this node can write', () => {
    law((view, commands) => {
      const releases = commands.some(({ command }) => command === 'release')
      if (releases) assert.equal(view.server.status, 'stopped')
    })
  })

  it('L1: takes the lease only where none is, and only for the term after the last', () => {
    law((view, commands) => {
      for (const command of commands) {
        if (command.command !== 'acquire') continue
        assert.equal(seen(view).leader.value, null)
        assert.equal(command.state.term, (seen(view).state.value?.term ?? 0) + 1)
      }
    })
  })

  it('L2: makes a primary only under a set that no vote of the recorded voters can get round', () => {
    law((view, commands) => {
      for (const command of commands) {
        const sync = command.command === 'promote' || command.command === 'start' ? command.sync : null
        const recorded = seen(view).state.value
        if (sync !== null) assert.ok(recorded !== null && isSafe(recorded.voters, sync, view.self.node))
      }
    })
  })

  it('L2: puts no set in force that a vote of the recorded voters could get round', () => {
    law((view, commands) => {
      for (const command of commands) {
        const recorded = seen(view).state.value
        if (command.command !== 'apply-sync') continue
        assert.ok(recorded !== null && isSafe(recorded.voters, command.sync, view.self.node))
      }
    })
  })

  it('L3: takes the lease only with data that descends from the last known timeline', () => {
    law((view, commands) => {
      if (!commands.some(({ command }) => command === 'acquire')) return
      assert.ok(view.data.status === 'present')
      const own = view.server.status === 'standby' ? view.server.lineage : view.data.lineage
      assert.ok(descendsFrom(own, seen(view).state.value?.lineage.timeline ?? (1 as TimelineId)))
    })
  })

  it("L3: follows a leader only with data that is part of the leader's history", () => {
    law((view, commands) => {
      for (const command of commands) {
        if (command.command !== 'follow' || view.server.status !== 'standby' || view.server.endLsn === null) continue
        const leader = seen(view).state.value?.lineage
        assert.ok(leader !== undefined)
        assert.deepEqual(relate(view.server.lineage, view.server.endLsn, leader), { kind: 'follow' })
      }
    })
  })

  it('never touches data of another cluster', () => {
    law((view, commands) => {
      if (view.data.status !== 'present' || view.data.systemIdentifier === '7' || view.data.unborn) return
      for (const { command } of commands) assert.ok(command === 'stop' || command === 'release', command)
    })
  })

  it('gives a task only as the last command, and none while one is under way', () => {
    const tasks = new Set(['bootstrap', 'clone', 'rewind', 'start', 'stop', 'promote', 'hand-over', 'switchover'])
    law((view, commands) => {
      assert.ok(commands.slice(0, -1).every(({ command }) => !tasks.has(command)))
      assert.deepEqual(decide({ ...view, task: { kind: 'clone', since: view.now } }).commands, [])
    })
  })

  it('decides the same on the same view', () => {
    law((view) => assert.deepEqual(decide(view), decide(structuredClone(view))))
  })
})

describe('leaseDeadline', () => {
  it('ends before the coordinator can give the lease to another, also on a clock that is 1 % slow', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 2000, max: 300_000 }),
        fc.double({ min: 0, max: 1e9, noNaN: true }),
        (ttlMs, at) => {
          const sentAt = at as MonotonicMs
          // The coordinator counts from when it received the renewal, so never from before it was sent.
          assert.ok((leaseDeadline(sentAt, ttlMs) - sentAt) * 1.01 < ttlMs)
        },
      ),
    )
  })
})
