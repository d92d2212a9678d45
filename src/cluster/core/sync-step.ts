import { bridgingVoters, isSafe, sameSync, sameVoters, votersFor } from './sync-set.ts'
import type { SyncSet, Voters } from './sync-set.ts'

export interface SyncSituation {
  readonly leader: string
  /** As published in the coordinator. */
  readonly voters: Voters
  /** The sets under any of which the server may still acknowledge commits. */
  readonly inForce: readonly SyncSet[]
  /**
   * True when this leader has committed something under `inForce`. Until then what earlier leaders acknowledged is
   * certain to be on this leader and among the published voters only.
   */
  readonly proven: boolean
  readonly desired: SyncSet
}

/** The next step from one durability set to another; each one alone keeps votes and acknowledgements intersecting. */
export type SyncStep =
  | { readonly step: 'publish'; readonly voters: Voters }
  /** Put the set in force at the server and prove it with a commit. */
  | { readonly step: 'apply'; readonly sync: SyncSet }
  /** Nothing to do, or nothing before a commit has proven what is in force. */
  | { readonly step: 'settled' }

/**
 * Raise first, lower later: a larger vote is published before a weaker set is put in force, and a smaller vote only
 * after the stronger set has been proven. One step at a time; the next one is computed from what was then observed.
 */
export function nextSyncStep({ leader, voters, inForce, proven, desired }: SyncSituation): SyncStep {
  const final = votersFor(desired, leader)
  const applied = inForce.length === 1 && inForce.every((sync) => sameSync(sync, desired))
  const leaderAlone = desired.count === 0
  if (applied) {
    if (sameVoters(voters, final) || !(proven || leaderAlone)) return { step: 'settled' }
    return { step: 'publish', voters: final }
  }
  // Going on alone is published, and with it the downgrade, before anything is acknowledged alone.
  if (leaderAlone && !sameVoters(voters, final)) return { step: 'publish', voters: final }
  if (isSafe(voters, desired, leader)) return { step: 'apply', sync: desired }
  const safeNow = inForce.every((sync) => isSafe(final, sync, leader))
  if (proven && safeNow) return { step: 'publish', voters: final }
  return { step: 'publish', voters: bridgingVoters(voters, [...inForce, desired]) }
}
