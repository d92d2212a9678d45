/**
 * Who must have a commit before it is acknowledged, and who must be asked before somebody may become the leader. All of
 * L2 rests on {@link isSafe}: whichever standbys acknowledged a commit, every vote that elects a leader contains one of
 * them (or the old leader itself), and the best of a vote wins.
 */

/** `ANY count (names)`; an empty set with count 0 means that commits wait for nobody. */
export interface SyncSet {
  readonly names: readonly string[]
  readonly count: number
}

/** Recorded in the coordinator: only a node whose rank is best among `needed` of `names` may become the leader. */
export interface Voters {
  readonly names: readonly string[]
  readonly needed: number
}

export const nobody: SyncSet = { names: [], count: 0 }

/**
 * True when no vote can miss a commit that the leader acknowledged under `sync`. The leader has every commit, so a vote
 * that contains it is always good; of the other voters at most `available` can lack a commit, and a vote must be larger.
 */
export function isSafe(voters: Voters, sync: SyncSet, leader: string): boolean {
  const others = voters.names.filter((name) => name !== leader)
  const outside = sync.names.filter((name) => !others.includes(name)).length
  const holders = Math.max(0, sync.count - outside)
  return voters.needed > others.length - holders
}

/**
 * The voters that belong to a sync set: as few needed as is safe. Nobody synchronous: only the leader itself. A set that
 * asks for more than it names acknowledges nothing, so that any one of them may vote.
 */
export function votersFor(sync: SyncSet, leader: string): Voters {
  if (sync.count === 0 || sync.names.length === 0) return { names: [leader], needed: 1 }
  return { names: sync.names.toSorted(), needed: Math.max(1, sync.names.length - sync.count + 1) }
}

/**
 * Voters that are safe under every one of `sets` and for everything that was acknowledged before: each name that is added
 * may lack it, so one vote more is needed. Where more votes are needed than there are voters, only the leader itself
 * could be elected again until the next step.
 */
export function bridgingVoters(voters: Voters, sets: readonly SyncSet[]): Voters {
  const names = [...new Set([...voters.names, ...sets.flatMap((sync) => sync.names)])].toSorted()
  const forThePast = voters.needed + names.length - voters.names.length
  const forTheSets = sets.map((sync) => names.length - sync.count + 1)
  return { names, needed: Math.max(forThePast, ...forTheSets) }
}

export function sameSync(a: SyncSet, b: SyncSet): boolean {
  return a.count === b.count && sameNames(a.names, b.names)
}

export function sameVoters(a: Voters, b: Voters): boolean {
  return a.needed === b.needed && sameNames(a.names, b.names)
}

function sameNames(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((name) => b.includes(name))
}
