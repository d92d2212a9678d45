import type { TimelineId } from '../../../wal/core/lsn.ts'
import type { StateEntry } from '../keys.ts'
import { propose } from '../proposal.ts'
import type { Proposal } from '../proposal.ts'
import type { ClusterView, View } from '../view.ts'

/** No cluster exists yet. One node wins the claim, creates the data and leads; the others clone it. */
export function bootstrap(view: View, cluster: ClusterView): Proposal {
  const claim = cluster.initialize.value
  const { data, self } = view
  const mine = claim?.node === self.node
  if (data.status === 'present' && !data.unborn) {
    return propose('HA-014', `data of system ${data.systemIdentifier} is here, but the coordinator knows no cluster`)
  }
  if (claim !== null && !mine) return propose('HA-013', `${claim.node} is founding the cluster`)
  if (self.tags.noFailover) return propose('HA-013', 'this node may not lead, so it does not found a cluster either')
  if (claim === null) return propose('HA-010', 'no cluster yet', [{ command: 'claim-initialize' }])
  if (data.status !== 'present') return propose('HA-011', 'this node founds the cluster', [{ command: 'bootstrap' }])
  const state = firstState(view, data.lineage.timeline)
  return propose('HA-012', `system ${data.systemIdentifier} is created`, [
    {
      command: 'acquire',
      state,
      stateRevision: 0,
      founding: { initializeRevision: cluster.initialize.revision, systemIdentifier: data.systemIdentifier },
    },
  ])
}

function firstState(view: View, timeline: TimelineId): StateEntry {
  const { self } = view
  return {
    term: 1,
    leader: self.node,
    promoted: false,
    lineage: { timeline, left: [] },
    reservedTimeline: timeline,
    mode: self.durability.mode,
    voters: { names: [self.node], needed: 1 },
    degraded: null,
    preferred: null,
  }
}
