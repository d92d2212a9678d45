/**
 * What an acknowledged commit is worth. `async`: it is on the primary. `quorum`: also on `standbys` others, as long as
 * there are any; when there are none, the downgrade is recorded. `strict`: always on `standbys` others, else writes wait.
 */
export interface Durability {
  readonly mode: DurabilityMode
  readonly standbys: number
}

export const durabilityModes = ['async', 'quorum', 'strict'] as const

export type DurabilityMode = (typeof durabilityModes)[number]
