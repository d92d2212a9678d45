import type { StateEntry } from './keys.ts'
import { ago } from './proposal.ts'
import type { View } from './view.ts'
import { nobody } from './sync-set.ts'
import type { SyncSet } from './sync-set.ts'

/** How long a standby that stopped streaming stays in the set while others keep commits going, or when it is gone. */
export const removalGraceMs = 1000
/** How long commits wait for the last standbys before durability `quorum` goes on without them. */
export const degradeGraceMs = 3000

/** Which standbys commits of a running primary should wait for now. */
export function desiredSync(view: View, state: StateEntry, current: SyncSet): SyncSet {
  const { mode, standbys } = view.self.durability
  if (mode === 'async') return nobody
  const members = view.coordinator.status === 'read' ? view.coordinator.cluster.members : []
  const alive = (node: string): boolean => members.some((member) => member.node === node)
  const mayVote = (node: string): boolean =>
    members.some((member) => member.node === node && member.eligible && !member.tags.noSync)
  const healthy = view.memory.followers
    .filter((follower) => follower.caughtUp && mayVote(follower.node))
    .map((follower) => follower.node)
  const graceMs = healthy.length >= standbys ? removalGraceMs : degradeGraceMs
  const missing = current.names.filter((name) => !healthy.includes(name))
  const awaited = missing.filter((name) => {
    const follower = view.memory.followers.find((candidate) => candidate.node === name)
    const patienceMs = alive(name) ? graceMs : removalGraceMs
    return follower !== undefined && ago(view, follower.since) < patienceMs
  })
  const names = [...healthy, ...awaited].toSorted()
  if (mode === 'strict') return strictSet(names, missing, standbys)
  return names.length === 0 ? nobody : { names, count: Math.min(standbys, names.length) }
}

/**
 * Which standbys commits should wait for from the first one on that this node makes as a primary. One that takes over
 * counts on the voters that live; one that is started again on all of them, since they may be about to come back too.
 */
export function initialSync(view: View, state: StateEntry, start: 'promoted' | 'restarted'): SyncSet {
  const { mode, standbys } = view.self.durability
  if (mode === 'async') return nobody
  const members = view.coordinator.status === 'read' ? view.coordinator.cluster.members : []
  const others = state.voters.names.filter((name) => name !== view.self.node)
  const live = others.filter((name) => members.some((member) => member.node === name && member.eligible))
  if (mode === 'strict') return strictSet(live, others, standbys)
  const names = start === 'promoted' ? live : others
  return names.length === 0 ? nobody : { names, count: Math.min(standbys, names.length) }
}

/** Never fewer than asked for: rather wait for standbys that are gone. */
function strictSet(live: readonly string[], gone: readonly string[], standbys: number): SyncSet {
  if (live.length >= standbys) return { names: live, count: standbys }
  return { names: [...new Set([...live, ...gone])].toSorted(), count: standbys }
}
