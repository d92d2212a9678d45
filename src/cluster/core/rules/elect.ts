import type { MonotonicMs } from '../../../std/clock.ts'
import type { TimelineId } from '../../../wal/core/lsn.ts'
import type { Command } from '../decision.ts'
import { elect as countVotes } from '../election.ts'
import type { StateEntry } from '../keys.ts'
import { descendsFrom } from '../lineage.ts'
import { calmMs, hasOwnData, propose, recentFailures, seconds, soonMs } from '../proposal.ts'
import type { FoundedView, Proposal } from '../proposal.ts'

/** A server that could not be started this often lately is not going to lead. */
const startFailureLimit = 3
const startFailureWindowMs = 60_000

/** The leader's lease is gone. */
export function elect(view: FoundedView): Proposal {
  const { data, server, state, memory, self } = view
  if (data.status !== 'present' || !hasOwnData(view)) return propose('HA-023', 'this node has no data')
  const lineage = server.status === 'standby' ? server.lineage : data.lineage
  if (!descendsFrom(lineage, state.lineage.timeline)) {
    return propose('HA-025', `timeline ${lineage.timeline} does not descend from ${state.lineage.timeline}`)
  }
  if (recentFailures(view, 'start', startFailureWindowMs) >= startFailureLimit) {
    return propose('HA-023', 'PostgreSQL could not be started here')
  }
  if (data.incomplete) return propose('HA-023', 'this node has an unfinished copy that needs a leader')
  const yielding = memory.yieldUntil !== null && view.now < memory.yieldUntil
  if (state.leader === self.node && !self.tags.noFailover && !yielding && ledHere(view)) {
    return propose('HA-021', `this node led term ${state.term}`, [acquire(view)])
  }
  if (server.status === 'stopped') {
    return propose('HA-024', 'PostgreSQL is stopped', [{ command: 'start', as: 'standby', sync: null, upstream: null }])
  }
  if (server.status !== 'standby') return propose('HA-064', `PostgreSQL is ${server.status}`, [], soonMs)
  if (memory.frozenForTerm !== state.term) {
    return propose('HA-020', `term ${state.term} has ended`, [{ command: 'freeze', term: state.term }])
  }
  return stand(view, yielding ? memory.yieldUntil : null)
}

function stand(view: FoundedView, yieldUntil: MonotonicMs | null): Proposal {
  if (yieldUntil !== null) {
    const text = `this node gave up the lease and leaves it to others for ${seconds(yieldUntil - view.now)}`
    return propose('HA-023', text, [], Math.min(calmMs, yieldUntil - view.now))
  }
  const election = countVotes({
    now: view.now,
    self: view.self.node,
    state: view.state,
    members: view.cluster.members,
    leaderAbsentSince: view.memory.leaderAbsentSince ?? view.now,
  })
  if (election.outcome === 'stand') return propose('HA-022', election.text, [acquire(view)])
  const until = election.until === null ? calmMs : Math.max(1, election.until - view.now)
  return propose('HA-023', election.text, [], Math.min(calmMs, until))
}

/** The next term: nothing that was recorded about durability changes, and a timeline never used before is reserved. */
function acquire(view: FoundedView): Command {
  const { state, data } = view
  const known = [
    state.reservedTimeline,
    state.lineage.timeline,
    ...view.cluster.members.map((member) => member.timeline ?? 0),
  ]
  if (data.status === 'present') known.push(data.newestTimeline)
  const next: StateEntry = {
    ...state,
    term: state.term + 1,
    leader: view.self.node,
    promoted: false,
    reservedTimeline: (Math.max(...known) + 1) as TimelineId,
    preferred: null,
  }
  return { command: 'acquire', state: next, stateRevision: view.stateRevision, founding: null }
}

/** The last leader needs nobody's vote, provided that its data is still the data it led with. */
function ledHere(view: FoundedView): boolean {
  const { data, server } = view
  if (server.status === 'standby') return server.endLsn !== null && server.upstream === null
  return server.status === 'stopped' && data.status === 'present'
}
