import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { EpochMs, MonotonicMs } from '../../std/clock.ts'
import type { Lsn, TimelineId } from '../../wal/core/lsn.ts'
import { decide } from './decide.ts'
import type { Decision } from './decision.ts'
import type { Lineage } from './lineage.ts'
import { rules } from './rule-ids.ts'
import type { RuleId } from './rule-ids.ts'
import type { ClusterView, TaskFailure, TaskKind, View } from './view.ts'
import {
  data,
  leaderless,
  leaderMemory,
  leaderView,
  member,
  memory,
  now,
  primary,
  standby,
  standbyView,
  state,
} from './view.fixture.ts'

const past = (ms: number): MonotonicMs => (now - ms) as MonotonicMs
const stopped = { status: 'stopped', crashedAt: null } as const
const failure = (kind: TaskKind, agoMs: number): TaskFailure => ({
  kind,
  at: past(agoMs),
  code: 'cluster-start-failed',
  message: 'no',
})
const second: Lineage = { timeline: 2 as TimelineId, left: [{ timeline: 1 as TimelineId, at: 900n as Lsn }] }
const onSecond = {
  state: { value: state({ leader: 'a', lineage: second, reservedTimeline: 2 as TimelineId }), revision: 9 },
}
const frozen = { frozenForTerm: 4 }
const voted = { ...leaderless, members: [member('b', frozen), member('c', { ...frozen, flushLsn: 900n as Lsn })] }
const cutOff = standby({ receiving: false, upstream: null })
const unfounded = {
  initialize: { value: null, revision: 0 },
  leader: { value: null, revision: 0 },
  state: { value: null, revision: 0 },
}
const { self } = standbyView()
const leaderSelf = leaderView().self

/** For each rule a view in which it decides, and the commands it gives. */
const cases: Readonly<
  Record<RuleId, readonly { readonly when: string; readonly view: View; readonly commands: readonly string[] }[]>
> = {
  'HA-001': [
    { when: 'PostgreSQL runs', view: leaderView({ self: { ...leaderSelf, leaving: true } }), commands: ['stop'] },
    {
      when: 'PostgreSQL has stopped',
      view: leaderView({ self: { ...leaderSelf, leaving: true }, server: stopped }),
      commands: ['release'],
    },
    { when: 'nothing is left', view: standbyView({ self: { ...self, leaving: true }, server: stopped }), commands: [] },
  ],
  'HA-002': [
    {
      when: 'a clone runs',
      view: standbyView({ task: { kind: 'clone', since: past(10) }, server: stopped }),
      commands: [],
    },
  ],
  'HA-003': [
    {
      when: 'it is stopped',
      view: standbyView({ data: data({ systemIdentifier: '8' }), server: stopped }),
      commands: [],
    },
    { when: 'it runs', view: standbyView({ data: data({ systemIdentifier: '8' }) }), commands: ['stop'] },
  ],
  'HA-004': [
    { when: 'the release differs', view: standbyView({ data: data({ major: 16 }), server: stopped }), commands: [] },
    {
      when: 'it cannot be read',
      view: standbyView({ data: { status: 'unusable', because: 'it is gone' }, server: stopped }),
      commands: [],
    },
  ],
  'HA-005': [
    {
      when: 'a leader has a lease',
      view: leaderView({ coordinator: { status: 'unreachable', since: past(100), because: 'no answer' } }),
      commands: [],
    },
    {
      when: 'a standby streams',
      view: standbyView({ coordinator: { status: 'unreachable', since: past(100), because: 'no answer' } }),
      commands: [],
    },
  ],
  'HA-006': [
    {
      when: 'the state is garbled',
      view: standbyView({ coordinator: { status: 'malformed', because: 'state.term' } }),
      commands: [],
    },
    {
      when: 'leader and state are of different terms',
      view: standbyView({ server: stopped }, { leader: { value: { node: 'a', term: 5 }, revision: 5 } }),
      commands: [],
    },
  ],
  'HA-007': [
    {
      when: 'the leader is gone',
      view: standbyView(
        { server: cutOff, memory: memory(frozen) },
        { ...voted, pause: { since: 0 as EpochMs, because: 'work' } },
      ),
      commands: [],
    },
  ],
  'HA-010': [
    {
      when: 'nothing exists',
      view: standbyView({ data: { status: 'empty' }, server: stopped }, unfounded),
      commands: ['claim-initialize'],
    },
  ],
  'HA-011': [
    {
      when: 'the claim is ours',
      view: standbyView(
        { data: { status: 'empty' }, server: stopped },
        { ...unfounded, initialize: { value: { node: 'b', systemIdentifier: null }, revision: 2 } },
      ),
      commands: ['bootstrap'],
    },
  ],
  'HA-012': [
    {
      when: 'our data is made',
      view: standbyView(
        { data: data({ unborn: true }), server: stopped },
        { ...unfounded, initialize: { value: { node: 'b', systemIdentifier: null }, revision: 2 } },
      ),
      commands: ['acquire'],
    },
  ],
  'HA-013': [
    {
      when: 'the claim is of another',
      view: standbyView(
        { data: { status: 'empty' }, server: stopped },
        { ...unfounded, initialize: { value: { node: 'c', systemIdentifier: null }, revision: 2 } },
      ),
      commands: [],
    },
  ],
  'HA-014': [{ when: 'there is data of nobody', view: standbyView({ server: stopped }, unfounded), commands: [] }],
  'HA-020': [{ when: 'it still streams', view: standbyView({}, leaderless), commands: ['freeze'] }],
  'HA-021': [
    {
      when: 'its server is stopped',
      view: leaderView({ lease: null, server: stopped, memory: memory() }, leaderless),
      commands: ['acquire'],
    },
    {
      when: 'it already runs cut off',
      view: leaderView({ lease: null, server: cutOff, memory: memory() }, leaderless),
      commands: ['acquire'],
    },
  ],
  'HA-022': [
    {
      when: 'all voters reported',
      view: standbyView({ server: cutOff, memory: memory(frozen) }, voted),
      commands: ['acquire'],
    },
  ],
  'HA-023': [
    {
      when: 'a voter is missing',
      view: standbyView({ server: cutOff, memory: memory(frozen) }, { ...voted, members: [member('b', frozen)] }),
      commands: [],
    },
    {
      when: 'it has just given up the lease',
      view: leaderView(
        { lease: null, server: cutOff, memory: memory({ ...frozen, yieldUntil: (now + 10) as MonotonicMs }) },
        leaderless,
      ),
      commands: [],
    },
    {
      when: 'it cannot be started',
      view: leaderView(
        {
          lease: null,
          server: stopped,
          memory: memory({ failures: [failure('start', 30_000), failure('start', 20_000), failure('start', 11_000)] }),
        },
        leaderless,
      ),
      commands: [],
    },
    {
      when: 'it has no data',
      view: standbyView({ data: { status: 'empty' }, server: stopped }, leaderless),
      commands: [],
    },
    {
      when: 'its copy is unfinished',
      view: standbyView({ data: data({ incomplete: true }), server: stopped }, leaderless),
      commands: [],
    },
  ],
  'HA-024': [{ when: 'another led last', view: standbyView({ server: stopped }, leaderless), commands: ['start'] }],
  'HA-025': [
    {
      when: 'it is on an abandoned timeline',
      view: standbyView({ server: cutOff, memory: memory(frozen) }, { ...voted, ...onSecond }),
      commands: [],
    },
  ],
  'HA-030': [
    { when: 'its lease is over', view: leaderView({ lease: { term: 4, deadline: past(1) } }), commands: ['stop'] },
    { when: 'another leads', view: standbyView({ server: primary() }), commands: ['stop'] },
  ],
  'HA-031': [
    {
      when: 'it is being promoted',
      view: standbyView({ server: cutOff }, { state: { value: state({ promoted: false }), revision: 9 } }),
      commands: [],
    },
  ],
  'HA-032': [
    { when: 'its data is whole', view: standbyView({ server: stopped }), commands: ['start'] },
    {
      when: 'its copy is unfinished',
      view: standbyView({ server: stopped, data: data({ incomplete: true }) }),
      commands: ['start'],
    },
  ],
  'HA-033': [
    { when: 'it follows nobody', view: standbyView({ server: cutOff }), commands: ['follow'] },
    {
      when: 'it follows the leader before',
      view: standbyView(
        { server: standby({ receiving: false, upstream: 'host-c:5432', endLsn: 900n as Lsn }) },
        onSecond,
      ),
      commands: ['follow'],
    },
  ],
  'HA-034': [{ when: 'it can be rewound', view: standbyView({ server: cutOff }, onSecond), commands: ['rewind'] }],
  'HA-035': [
    {
      when: 'there is no pg_rewind',
      view: standbyView({ self: { ...self, canRewind: false }, server: cutOff }, onSecond),
      commands: ['clone'],
    },
    {
      when: 'the rewind has failed',
      view: standbyView({ server: cutOff, memory: memory({ failures: [failure('rewind', 10_000)] }) }, onSecond),
      commands: ['clone'],
    },
    {
      when: 'it cannot be started',
      view: standbyView({
        server: stopped,
        memory: memory({ failures: [50, 40, 30, 20, 11].map((secondsAgo) => failure('start', secondsAgo * 1000)) }),
      }),
      commands: ['clone'],
    },
  ],
  'HA-036': [
    { when: 'it streams', view: standbyView(), commands: [] },
    { when: 'it is connecting', view: standbyView({ server: standby({ receiving: false }) }), commands: [] },
  ],
  'HA-037': [
    { when: 'there is none', view: standbyView({ data: { status: 'empty' }, server: stopped }), commands: ['clone'] },
    {
      when: 'it is left from a founding that another node won',
      view: standbyView({ data: data({ systemIdentifier: '8', unborn: true }), server: stopped }),
      commands: ['clone'],
    },
  ],
  'HA-038': [
    {
      when: 'it is behind what the leader keeps',
      view: standbyView(
        { server: standby({ receiving: false }), memory: memory({ notReceivingSince: past(6000) }) },
        { members: [member('a', { role: 'primary', oldestLsn: 5000n as Lsn }), member('b')] },
      ),
      commands: ['clone'],
    },
  ],
  'HA-039': [
    {
      when: 'slots are left from its time as a primary',
      view: standbyView({ server: standby({ slots: [{ name: 'holdfast_c', active: false }] }) }),
      commands: ['drop-slots'],
    },
  ],
  'HA-040': [{ when: 'it has won', view: leaderView({ server: cutOff }), commands: ['promote'] }],
  'HA-041': [
    {
      when: 'no voter is left to acknowledge commits',
      view: leaderView(
        { server: cutOff },
        { members: [member('a')], state: { value: state({ voters: { names: ['b', 'c'], needed: 1 } }), revision: 9 } },
      ),
      commands: ['publish-state'],
    },
  ],
  'HA-042': [
    {
      when: 'it has been promoted',
      view: leaderView({}, { state: { value: state({ promoted: false }), revision: 9 } }),
      commands: ['publish-state', 'record-history', 'prove-writable'].slice(0, 2),
    },
  ],
  'HA-043': [
    {
      when: 'nothing was committed in this term',
      view: leaderView({ memory: leaderMemory({ writableTerm: null }) }),
      commands: ['prove-writable'],
    },
  ],
  'HA-044': [{ when: 'all is well', view: leaderView(), commands: [] }],
  'HA-045': [
    {
      when: 'a member has none',
      view: leaderView({ server: primary({ slots: [{ name: 'holdfast_b', active: true }] }) }),
      commands: ['create-slots'],
    },
    {
      when: 'a node has been gone for long',
      view: leaderView({
        server: primary({ slots: [...primary().slots, { name: 'holdfast_d', active: false }] }),
        memory: leaderMemory({
          followers: [...leaderMemory().followers, { node: 'd', caughtUp: false, since: past(2_000_000) }],
        }),
      }),
      commands: ['drop-slots'],
    },
  ],
  'HA-050': [
    {
      when: 'a standby has caught up',
      view: leaderView(
        { memory: leaderMemory({ syncInForce: [{ names: ['b'], count: 1 }] }) },
        { state: { value: state({ voters: { names: ['a'], needed: 1 } }), revision: 9 } },
      ),
      commands: ['apply-sync'],
    },
  ],
  'HA-051': [
    {
      when: 'the set is proven',
      view: leaderView({}, { state: { value: state({ voters: { names: ['a'], needed: 1 } }), revision: 9 } }),
      commands: ['publish-state'],
    },
  ],
  'HA-052': [
    {
      when: 'all standbys are gone',
      view: leaderView({
        server: primary({ senders: [] }),
        memory: leaderMemory({ followers: ['b', 'c'].map((node) => ({ node, caughtUp: false, since: past(10_000) })) }),
      }),
      commands: ['publish-state'],
    },
  ],
  'HA-060': [
    {
      when: 'there is much WAL to replay',
      view: leaderView({
        server: { status: 'stopped', crashedAt: now },
        data: data({ standbySignal: false, recoveryBytes: 2 ** 30 }),
      }),
      commands: ['release'],
    },
  ],
  'HA-061': [
    {
      when: 'there is little WAL to replay',
      view: leaderView({
        server: { status: 'stopped', crashedAt: now },
        data: data({ standbySignal: false, recoveryBytes: 2 ** 20 }),
      }),
      commands: ['start'],
    },
    {
      when: 'nobody could take over',
      view: leaderView(
        { server: { status: 'stopped', crashedAt: now }, data: data({ standbySignal: false, recoveryBytes: 2 ** 30 }) },
        { members: [member('a'), member('b')] },
      ),
      commands: ['start'],
    },
  ],
  'HA-062': [
    {
      when: 'it died three times',
      view: leaderView({
        server: { status: 'stopped', crashedAt: now },
        data: data({ standbySignal: false }),
        memory: memory({ crashes: [past(60_000), past(30_000), past(1)] }),
      }),
      commands: ['release'],
    },
  ],
  'HA-063': [
    {
      when: 'the leader hangs',
      view: leaderView({ server: { status: 'silent', since: past(11_000) } }),
      commands: ['hand-over'],
    },
    {
      when: 'a standby hangs',
      view: standbyView({ server: { status: 'silent', since: past(31_000) } }),
      commands: ['stop'],
    },
  ],
  'HA-064': [
    { when: 'it has begun to', view: leaderView({ server: { status: 'starting', since: past(100) } }), commands: [] },
    {
      when: 'it hangs and nobody could take over',
      view: leaderView({ server: { status: 'silent', since: past(60_000) } }, { members: [member('a')] }),
      commands: [],
    },
  ],
  'HA-070': [{ when: 'the target is up to date', view: leaderView({}, request('c')), commands: ['switchover'] }],
  'HA-071': [
    {
      when: 'the target stays behind',
      view: leaderView({ memory: leaderMemory({ followers: [] }) }, request('c', 20_000)),
      commands: ['end-switchover'],
    },
  ],
}

function request(to: string, agoMs = 0): Partial<ClusterView> {
  const requestedAt = (standbyView().wall - agoMs) as EpochMs
  return { switchover: { value: { id: '1', from: null, to, requestedAt }, revision: 12 } }
}

function names(decision: Decision): readonly string[] {
  return decision.commands.map(({ command }) => command)
}

describe('decide', () => {
  for (const [rule, examples] of Object.entries(cases)) {
    for (const { when, view, commands } of examples) {
      it(`${rule} (${when}): ${rules[rule as RuleId]}`, () => {
        const decision = decide(view)
        assert.ok(
          decision.because.some((reason) => reason.rule === rule),
          `decided by ${decision.because.map((reason) => `${reason.rule} ${reason.text}`).join('; ')}`,
        )
        assert.deepEqual(names(decision), commands)
        assert.ok(decision.wakeAt > view.now)
      })
    }
  }

  it('reserves a timeline that nobody has ever used', () => {
    const view = standbyView(
      { server: cutOff, memory: memory(frozen), data: data({ newestTimeline: 5 as TimelineId }) },
      voted,
    )
    const [command] = decide(view).commands
    assert.ok(command?.command === 'acquire')
    assert.equal(command.state.reservedTimeline, 6)
    assert.deepEqual([command.state.term, command.state.promoted, command.stateRevision], [5, false, 9])
  })

  it('tries a task that fails again after a wait that doubles', () => {
    const clone = (failures: readonly TaskFailure[]): View =>
      standbyView({ data: { status: 'empty' }, server: stopped, memory: memory({ failures }) })
    assert.deepEqual(names(decide(clone([failure('clone', 100)]))), [])
    assert.deepEqual(names(decide(clone([failure('clone', 260)]))), ['clone'])
    assert.deepEqual(names(decide(clone([failure('clone', 1000), failure('clone', 260)]))), [])
  })
})
