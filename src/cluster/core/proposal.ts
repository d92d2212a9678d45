import type { MonotonicMs } from '../../std/clock.ts'
import type { Command, Decision } from './decision.ts'
import type { StateEntry } from './keys.ts'
import type { RuleId } from './rule-ids.ts'
import type { ClusterView, View } from './view.ts'

/** What one rule wants; undefined from a rule means that it does not apply. */
export interface Proposal {
  readonly rule: RuleId
  readonly text: string
  readonly commands: readonly Command[]
  readonly wakeInMs: number
}

/** How soon to look again where something quick is under way. */
export const soonMs = 20
/** How often to look where nothing is expected. */
export const calmMs = 1000

export function propose(rule: RuleId, text: string, commands: readonly Command[] = [], wakeInMs?: number): Proposal {
  return { rule, text, commands, wakeInMs: wakeInMs ?? (commands.length > 0 ? soonMs : calmMs) }
}

export function toDecision(proposals: readonly Proposal[], now: MonotonicMs): Decision {
  const wakeInMs = Math.min(calmMs, ...proposals.map((proposal) => proposal.wakeInMs))
  return {
    commands: proposals.flatMap((proposal) => proposal.commands),
    because: proposals.map(({ rule, text }) => ({ rule, text })),
    wakeAt: (now + wakeInMs) as MonotonicMs,
  }
}

/** The view once the coordinator was read and the cluster is founded: what most rules work on. */
export interface FoundedView extends View {
  readonly cluster: ClusterView
  readonly state: StateEntry
  readonly stateRevision: number
}

export function ago(view: View, since: MonotonicMs): number {
  return view.now - since
}

export function recentFailures(view: View, kind: string, withinMs: number): number {
  return view.memory.failures.filter((failure) => failure.kind === kind && ago(view, failure.at) < withinMs).length
}

export function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`
}

/** True when the data here can be part of this cluster: not missing, and not the leftover of a founding that failed. */
export function hasOwnData(view: FoundedView): boolean {
  const { data, cluster } = view
  return data.status === 'present' && data.systemIdentifier === cluster.initialize.value?.systemIdentifier
}
