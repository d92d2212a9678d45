import type { Lsn, TimelineId } from '../../wal/core/lsn.ts'

/**
 * Which way the data of a node came: the timelines it went through, oldest first, each with the LSN at which it was left.
 * Timeline ids are never used twice in a cluster (every term reserves a new one), so two nodes on the same timeline hold
 * the same WAL as far as both have it.
 */
export interface Lineage {
  readonly timeline: TimelineId
  readonly left: readonly TimelineLeft[]
}

export interface TimelineLeft {
  readonly timeline: TimelineId
  readonly at: Lsn
}

/** True when data of this lineage went through `timeline` or is on it. */
export function descendsFrom(lineage: Lineage, timeline: TimelineId): boolean {
  return lineage.timeline === timeline || lineage.left.some((step) => step.timeline === timeline)
}

/** How the data of a node relates to a leader's. `diverged`: it holds WAL from `at` on that the leader never had. */
export type Relation =
  | { readonly kind: 'follow' }
  | { readonly kind: 'diverged'; readonly at: Lsn }
  | { readonly kind: 'unrelated' }

/** Whether a node whose WAL ends at `end` may follow a leader of that lineage, or where the two parted. */
export function relate(local: Lineage, end: Lsn, leader: Lineage): Relation {
  const own = [...local.left, { timeline: local.timeline, at: end }]
  const theirs: readonly { timeline: TimelineId; at: Lsn | null }[] = [
    ...leader.left,
    { timeline: leader.timeline, at: null },
  ]
  let relation: Relation = { kind: 'unrelated' }
  for (const [index, step] of own.entries()) {
    const other = theirs[index]
    if (other?.timeline !== step.timeline) return parted(relation)
    if (other.at !== null && step.at > other.at) return { kind: 'diverged', at: other.at }
    relation = { kind: 'follow' }
    if (index === own.length - 1) return relation
    const sameLeave = other.at === step.at
    if (!sameLeave) return { kind: 'diverged', at: step.at }
  }
  return relation

  /** The local data left the last common timeline for one that the leader does not have. */
  function parted(reached: Relation): Relation {
    const fork = own.findIndex((step, index) => theirs[index]?.timeline !== step.timeline)
    const before = own[fork - 1]
    return reached.kind === 'follow' && before !== undefined ? { kind: 'diverged', at: before.at } : reached
  }
}
