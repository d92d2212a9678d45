import type { Decision } from './decision.ts'
import { leaseHolds } from './lease.ts'
import { holdBack } from './hold-back.ts'
import { propose, soonMs, toDecision } from './proposal.ts'
import type { FoundedView, Proposal } from './proposal.ts'
import { bootstrap } from './rules/bootstrap.ts'
import { elect } from './rules/elect.ts'
import { follow } from './rules/follow.ts'
import { lead } from './rules/lead.ts'
import { leave } from './rules/leave.ts'
import type { View } from './view.ts'

/**
 * What a node does next, from what it sees now and nothing else: the same view always gives the same decision, so that
 * every action can be explained and replayed. The order of the rules is the order of this function.
 */
export function decide(view: View): Decision {
  return toDecision(
    proposals(view).map((proposal) => holdBack(view, proposal)),
    view.now,
  )
}

function proposals(view: View): readonly Proposal[] {
  const { self, task, server, coordinator } = view
  const holds = leaseHolds(view.lease, view.now)
  if (task !== null) return [propose('HA-002', `${task.kind} is under way`, [], self.leaving ? soonMs : undefined)]
  if (self.leaving) return [leave(view)]
  if (server.status === 'primary' && !holds) {
    return [propose('HA-030', 'no valid lease', [{ command: 'stop', because: 'its lease is over' }])]
  }
  if (coordinator.status === 'unreachable') return [propose('HA-005', coordinator.because)]
  if (coordinator.status === 'malformed') return [propose('HA-006', coordinator.because)]
  const { cluster } = coordinator
  const refused = refuse(view)
  if (refused !== undefined) return [refused]
  const state = cluster.state.value
  if (state === null) return [bootstrap(view, cluster)]
  if (cluster.pause !== null && (!holds || server.status !== 'primary')) {
    return [propose('HA-007', cluster.pause.because)]
  }
  const founded: FoundedView = { ...view, cluster, state, stateRevision: cluster.state.revision }
  const leader = cluster.leader.value
  if (leader === null) return [elect(founded)]
  if (leader.term !== state.term) {
    return [propose('HA-006', `the leader is of term ${leader.term}, the state of term ${state.term}`)]
  }
  if (leader.node !== self.node) return [follow(founded, leader)]
  if (!holds || view.lease?.term !== leader.term) {
    return [propose('HA-031', `the lease of term ${leader.term} is held by an earlier life of this agent`, [], soonMs)]
  }
  return lead(founded)
}

/** What no decision may touch. */
function refuse(view: View): Proposal | undefined {
  const { data, self, coordinator, server } = view
  if (data.status === 'unusable') return propose('HA-004', data.because)
  if (data.status !== 'present' || coordinator.status !== 'read') return undefined
  if (data.major !== self.major) {
    return propose('HA-004', `the data is of PostgreSQL ${data.major}, the programs are of ${self.major}`)
  }
  const expected = coordinator.cluster.initialize.value?.systemIdentifier ?? null
  if (expected === null || expected === data.systemIdentifier || data.unborn) return undefined
  const stop =
    server.status === 'stopped' ? [] : [{ command: 'stop' as const, because: 'its data is of another cluster' }]
  return propose('HA-003', `the data is of system ${data.systemIdentifier}, the cluster is system ${expected}`, stop)
}
