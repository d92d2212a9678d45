import type { LeaderEntry } from '../keys.ts'
import { relate } from '../lineage.ts'
import { ago, calmMs, hasOwnData, propose, recentFailures, soonMs } from '../proposal.ts'
import type { FoundedView, Proposal } from '../proposal.ts'
import type { MemberEntry } from '../keys.ts'
import type { MonotonicMs } from '../../../std/clock.ts'
import type { DataView, StandbyView } from '../view.ts'

/** A server that cannot be started as a standby this often is cloned anew; its data is kept aside. */
const failureLimit = 5
const failureWindowMs = 120_000
const silentLimitMs = 30_000
/** How long a clone is trusted to be good: a server that does not start on it has another trouble. */
const cloneAgainMs = 3_600_000
/** How long an unfinished copy may take to become consistent. */
const copyLimitMs = 600_000

/** Another node leads: be its standby. */
export function follow(view: FoundedView, leader: LeaderEntry): Proposal {
  const { data, server, state } = view
  const upstream = view.cluster.members.find((member) => member.node === leader.node)
  if (!state.promoted || state.leader !== leader.node || upstream === undefined) {
    if (hasOwnData(view) && server.status === 'stopped') return startQuarantined(view)
    return propose('HA-031', `${leader.node} leads term ${leader.term} and is being promoted`)
  }
  if (!hasOwnData(view)) return clone('HA-037', 'there is no data here', upstream)
  if (isBeyondStarting(view)) return clone('HA-035', `PostgreSQL could not be started ${failureLimit} times`, upstream)
  switch (server.status) {
    case 'stopped':
      return data.status === 'present' && data.incomplete ? finishCopy(view, data, upstream) : startQuarantined(view)
    case 'starting':
      return awaitStart(view, server.since, upstream)
    case 'silent':
      if (ago(view, server.since) < silentLimitMs) return propose('HA-064', 'PostgreSQL does not answer', [], calmMs)
      return propose('HA-063', 'PostgreSQL does not answer', [{ command: 'stop', because: 'it does not answer' }])
    case 'primary':
      return propose('HA-030', `${leader.node} leads`, [{ command: 'stop', because: `${leader.node} leads` }])
    case 'standby':
      return followAs(view, server, upstream)
    default:
      return server satisfies never
  }
}

/** Data that PostgreSQL itself refuses to start on is replaced, but not again and again: then it is not the data. */
function isBeyondStarting({ memory, now }: FoundedView): boolean {
  const failures = memory.failures.filter(
    ({ kind, code, at }) => kind === 'start' && code === 'cluster-start-failed' && now - at < failureWindowMs,
  )
  const clonedLately = memory.clonedAt !== null && now - memory.clonedAt < cloneAgainMs
  return failures.length >= failureLimit && !clonedLately
}

function followAs(view: FoundedView, server: StandbyView, leader: MemberEntry): Proposal {
  const address = `${leader.host}:${leader.port}`
  const stale = server.slots.map((slot) => slot.name).filter((name) => name.startsWith('holdfast_'))
  if (stale.length > 0) {
    return propose('HA-039', stale.join(', '), [{ command: 'drop-slots', names: stale }])
  }
  if (server.receiving && server.upstream === address) return propose('HA-036', `streaming from ${leader.node}`)
  if (server.endLsn === null) return propose('HA-064', 'local WAL is still being read', [], soonMs)
  const relation = relate(server.lineage, server.endLsn, view.state.lineage)
  if (relation.kind === 'unrelated') return clone('HA-035', 'its history has nothing in common with the leader', leader)
  if (relation.kind === 'diverged') return goBack(view, relation.at, leader)
  if (server.upstream !== address) {
    const command = { command: 'follow', host: leader.host, port: leader.port } as const
    return propose('HA-033', `timeline ${server.lineage.timeline} is part of the leader's history`, [command])
  }
  if (leader.oldestLsn !== null && server.endLsn < leader.oldestLsn && waitedLong(view)) {
    return clone('HA-038', 'the leader has removed WAL that is needed here', leader)
  }
  return propose('HA-036', `connecting to ${leader.node}`, [], soonMs * 5)
}

function goBack(view: FoundedView, at: StandbyView['endLsn'] & bigint, leader: MemberEntry): Proposal {
  const rewindable = view.self.canRewind && recentFailures(view, 'rewind', failureWindowMs) === 0
  if (!rewindable) return clone('HA-035', "it has left the leader's history and cannot be rewound", leader)
  return propose('HA-034', `it holds WAL that ${leader.node} never had`, [
    { command: 'rewind', host: leader.host, port: leader.port, divergedAt: at },
  ])
}

/** A copy is started on its leader's WAL: without it, it would never be consistent and never answer. */
function finishCopy(view: FoundedView, data: DataView & { status: 'present' }, leader: MemberEntry): Proposal {
  const relation = relate(data.lineage, data.reached, view.state.lineage)
  if (relation.kind !== 'follow') return clone('HA-035', "an unfinished copy has left the leader's history", leader)
  const upstream = { host: leader.host, port: leader.port }
  return propose('HA-032', 'an unfinished copy needs WAL of the leader', [
    { command: 'start', as: 'standby', sync: null, upstream },
  ])
}

function awaitStart(view: FoundedView, since: MonotonicMs, leader: MemberEntry): Proposal {
  const { data, memory } = view
  const copying = data.status === 'present' && data.incomplete
  if (copying && ago(view, since) > copyLimitMs)
    return clone('HA-035', 'an unfinished copy does not become consistent', leader)
  if (copying && memory.following !== `${leader.host}:${leader.port}`) {
    return propose('HA-033', `${leader.node} leads now`, [{ command: 'follow', host: leader.host, port: leader.port }])
  }
  return propose('HA-064', 'PostgreSQL is starting', [], soonMs)
}

function startQuarantined(view: FoundedView): Proposal {
  const failures = recentFailures(view, 'start', failureWindowMs)
  const wait = failures === 0 ? undefined : calmMs
  return propose(
    'HA-032',
    'PostgreSQL is stopped',
    [{ command: 'start', as: 'standby', sync: null, upstream: null }],
    wait,
  )
}

function clone(rule: 'HA-035' | 'HA-037' | 'HA-038', because: string, leader: MemberEntry): Proposal {
  return propose(rule, because, [{ command: 'clone', host: leader.host, port: leader.port, because }])
}

function waitedLong(view: FoundedView): boolean {
  const since = view.memory.notReceivingSince
  return since !== null && ago(view, since) > 5000
}
