import type { Lsn } from '../../../wal/core/lsn.ts'
import { desiredSync } from '../desired-sync.ts'
import type { StateEntry } from '../keys.ts'
import { propose } from '../proposal.ts'
import type { FoundedView, Proposal } from '../proposal.ts'
import { nobody, sameSync } from '../sync-set.ts'
import type { Voters } from '../sync-set.ts'
import { nextSyncStep } from '../sync-step.ts'
import type { PrimaryView } from '../view.ts'

/** One step, if any, towards the durability that the healthy standbys allow. */
export function keepDurability(view: FoundedView, server: PrimaryView): readonly Proposal[] {
  const { self, state, memory } = view
  const inForce = memory.syncInForce ?? [nobody]
  const target = memory.applying?.sync ?? inForce.at(-1) ?? nobody
  const desired = desiredSync(view, state, target)
  const proven = memory.writableTerm === state.term
  const step = nextSyncStep({ leader: self.node, voters: state.voters, inForce, proven, desired })
  switch (step.step) {
    case 'apply':
      if (memory.applying !== null && sameSync(memory.applying.sync, step.sync)) return []
      return [
        propose('HA-050', `commits wait for ${describe(step.sync)}`, [
          { command: 'apply-sync', sync: step.sync, term: state.term },
        ]),
      ]
    case 'publish': {
      const next = withVoters(view, server.flushLsn, step.voters, desired.count === 0)
      const rule = next.degraded !== null && state.degraded === null ? 'HA-052' : 'HA-051'
      return [
        propose(rule, `${step.voters.needed} of ${step.voters.names.join(', ')} have to vote`, [
          { command: 'publish-state', state: next, stateRevision: view.stateRevision },
        ]),
      ]
    }
    case 'settled':
      return settle(view, server, proven && desired.count > 0)
    default:
      return step satisfies never
  }
}

/** The mode is published last, when everything it promises is in force. */
function settle(view: FoundedView, server: PrimaryView, holds: boolean): readonly Proposal[] {
  const { state, self } = view
  const modeDue = state.mode !== self.durability.mode && (holds || self.durability.mode === 'async')
  const healed = state.degraded !== null && (holds || self.durability.mode !== 'quorum')
  const degradedDue =
    state.degraded === null && !holds && view.memory.syncInForce?.every((sync) => sync.count === 0) === true
  if (!modeDue && !healed && !(degradedDue && self.durability.mode === 'quorum')) return []
  const next: StateEntry = {
    ...state,
    mode: modeDue ? self.durability.mode : state.mode,
    degraded: healed ? null : degradedDue ? degradedNow(view, server.flushLsn) : state.degraded,
  }
  return [
    propose(next.degraded === null ? 'HA-051' : 'HA-052', 'the recorded durability follows what is in force', [
      { command: 'publish-state', state: next, stateRevision: view.stateRevision },
    ]),
  ]
}

/** The state with other voters; with it, when commits are to go on without any standby, the downgrade (L8). */
export function withVoters(view: FoundedView, lsn: Lsn, voters: Voters, alone: boolean): StateEntry {
  const { state, self } = view
  const degrading = alone && self.durability.mode === 'quorum'
  return { ...state, voters, degraded: degrading ? (state.degraded ?? degradedNow(view, lsn)) : state.degraded }
}

function degradedNow(view: FoundedView, lsn: Lsn): StateEntry['degraded'] {
  return { at: view.wall, lsn, because: 'no standby is streaming' }
}

function describe(sync: { readonly names: readonly string[]; readonly count: number }): string {
  return sync.count === 0 ? 'nobody' : `${sync.count} of ${sync.names.join(', ')}`
}
