import type { Lsn } from '../../../wal/core/lsn.ts'
import { initialSync } from '../desired-sync.ts'
import { propose } from '../proposal.ts'
import type { FoundedView, Proposal } from '../proposal.ts'
import type { SyncSet } from '../sync-set.ts'
import { nextSyncStep } from '../sync-step.ts'
import { withVoters } from './sync.ts'

/**
 * Before a server becomes a primary, its durability set has to be one that no vote can get round from the first commit
 * on. Gives that set, or what has to be published before.
 */
export function firstCommit(
  view: FoundedView,
  lsn: Lsn,
  start: 'promoted' | 'restarted',
): { readonly sync: SyncSet } | { readonly before: Proposal } {
  const { self, state, stateRevision } = view
  const desired = initialSync(view, state, start)
  const step = nextSyncStep({ leader: self.node, voters: state.voters, inForce: [], proven: false, desired })
  if (step.step !== 'publish') return { sync: desired }
  const next = withVoters(view, lsn, step.voters, desired.count === 0)
  const text = `voters become ${step.voters.needed} of ${step.voters.names.join(', ')}`
  return { before: propose('HA-041', text, [{ command: 'publish-state', state: next, stateRevision }]) }
}
