import type { EpochMs, MonotonicMs } from '../../std/clock.ts'
import type { Lsn, TimelineId } from '../../wal/core/lsn.ts'
import type { MemberEntry, StateEntry } from './keys.ts'
import type { ClusterView, DataView, MemoryView, PrimaryView, StandbyView, View } from './view.ts'

/** Views for tests: a healthy three-node cluster of a, b and c that a leads, from which each test departs. */
const tags = { noFailover: false, noSync: false, noLoadBalance: false }

export const now = 1_000_000 as MonotonicMs
const wall = 1_700_000_000_000 as EpochMs

export function member(node: string, more: Partial<MemberEntry> = {}): MemberEntry {
  return {
    node,
    host: `host-${node}`,
    port: 5432,
    apiUrl: null,
    role: 'standby',
    state: 'streaming',
    timeline: 1 as TimelineId,
    flushLsn: 1000n as Lsn,
    replayLsn: 1000n as Lsn,
    frozenForTerm: null,
    eligible: true,
    priority: 100,
    site: null,
    tags,
    systemIdentifier: '7',
    major: 17,
    oldestLsn: null,
    agentVersion: '1',
    trouble: null,
    ...more,
  }
}

export function state(more: Partial<StateEntry> = {}): StateEntry {
  return {
    term: 4,
    leader: 'a',
    promoted: true,
    lineage: { timeline: 1 as TimelineId, left: [] },
    reservedTimeline: 1 as TimelineId,
    mode: 'quorum',
    voters: { names: ['b', 'c'], needed: 2 },
    degraded: null,
    preferred: null,
    ...more,
  }
}

export function cluster(more: Partial<ClusterView> = {}): ClusterView {
  return {
    initialize: { value: { node: 'a', systemIdentifier: '7' }, revision: 1 },
    leader: { value: { node: 'a', term: 4 }, revision: 5 },
    state: { value: state(), revision: 9 },
    members: [member('a', { role: 'primary', state: 'running' }), member('b'), member('c')],
    switchover: { value: null, revision: 0 },
    pause: null,
    ...more,
  }
}

export const leaderless: Partial<ClusterView> = { leader: { value: null, revision: 0 } }

export function memory(more: Partial<MemoryView> = {}): MemoryView {
  return {
    leaderAbsentSince: null,
    yieldUntil: null,
    crashes: [],
    failures: [],
    clonedAt: null,
    frozenForTerm: null,
    syncInForce: null,
    applying: null,
    writableTerm: null,
    followers: [],
    following: null,
    notReceivingSince: null,
    ...more,
  }
}

export function data(more: Partial<DataView & { status: 'present' }> = {}): DataView {
  return {
    status: 'present',
    systemIdentifier: '7',
    major: 17,
    lineage: { timeline: 1 as TimelineId, left: [] },
    newestTimeline: 1 as TimelineId,
    standbySignal: true,
    clean: false,
    recoveryBytes: 0,
    incomplete: false,
    reached: 1000n as Lsn,
    unborn: false,
    ...more,
  }
}

export function standby(more: Partial<StandbyView> = {}): StandbyView {
  return {
    status: 'standby',
    lineage: { timeline: 1 as TimelineId, left: [] },
    endLsn: 1000n as Lsn,
    replayLsn: 1000n as Lsn,
    receiving: true,
    upstream: 'host-a:5432',
    slots: [],
    ...more,
  }
}

export function primary(more: Partial<PrimaryView> = {}): PrimaryView {
  return {
    status: 'primary',
    lineage: { timeline: 1 as TimelineId, left: [] },
    flushLsn: 1000n as Lsn,
    oldestLsn: null,
    senders: ['b', 'c'].map((name) => ({ name, streaming: true, flushLsn: 1000n as Lsn })),
    slots: ['b', 'c'].map((name) => ({ name: `holdfast_${name}`, active: true })),
    ...more,
  }
}

/** The view of standby b; `readCluster` is what it sees in the coordinator. */
export function standbyView(more: Partial<View> = {}, seen: Partial<ClusterView> = {}): View {
  return {
    now,
    wall,
    self: {
      node: 'b',
      host: 'host-b',
      port: 5432,
      apiUrl: null,
      priority: 100,
      site: null,
      tags,
      agentVersion: '1',
      durability: { mode: 'quorum', standbys: 1 },
      major: 17,
      canRewind: true,
      ttlMs: 5000,
      leaving: false,
      freeBytes: null,
    },
    coordinator: { status: 'read', cluster: cluster(seen) },
    lease: null,
    data: data(),
    server: standby(),
    task: null,
    memory: memory(),
    ...more,
  }
}

/** The view of leader a, serving. */
export function leaderView(more: Partial<View> = {}, seen: Partial<ClusterView> = {}): View {
  const view = standbyView({}, seen)
  return {
    ...view,
    self: { ...view.self, node: 'a', host: 'host-a' },
    lease: { term: 4, deadline: (now + 4000) as MonotonicMs },
    data: data({ standbySignal: false }),
    server: primary(),
    memory: leaderMemory(),
    ...more,
  }
}

export function leaderMemory(more: Partial<MemoryView> = {}): MemoryView {
  return memory({
    syncInForce: [{ names: ['b', 'c'], count: 1 }],
    writableTerm: 4,
    followers: ['b', 'c'].map((node) => ({ node, caughtUp: true, since: (now - 60_000) as MonotonicMs })),
    ...more,
  })
}
