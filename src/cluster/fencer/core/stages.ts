import type { MonotonicMs } from '../../../std/clock.ts'
import type { ArmRefusal, FencingStage, LeaseDeadline } from './protocol.ts'

/** How a lease's end is enforced. Each stage leaves the next one time to do what it could not. */
export interface FencerTiming {
  /** How long before the deadline PostgreSQL is asked to stop fast: sessions end, a checkpoint is written. */
  readonly fastBeforeMs: number
  /** How long before the deadline it is asked to stop immediately: no checkpoint, recovery at the next start. */
  readonly immediateBeforeMs: number
  /** How long before the deadline everything is killed, so that it is gone at the deadline on a busy machine too. */
  readonly killBeforeMs: number
  /** A jump of boottime minus monotonic by more than this since the renewal ends the lease at once. */
  readonly suspendLimitMs: number
}

export const defaultFencerTiming: FencerTiming = {
  fastBeforeMs: 1500,
  immediateBeforeMs: 500,
  killBeforeMs: 50,
  suspendLimitMs: 1000,
}

/** How often an armed fencer looks whether the machine was suspended. */
const suspendCheckMs = 250

const order: readonly FencingStage[] = ['fast', 'immediate', 'kill']

export interface StageView {
  readonly now: MonotonicMs
  /** Boottime minus monotonic now. */
  readonly suspendedMs: number
  readonly lease: LeaseDeadline
  /** The last stage that was carried out for this run of the server. */
  readonly stage: FencingStage | null
}

export interface StageDecision {
  /** What to do now; null: nothing (more) yet. */
  readonly stage: FencingStage | null
  readonly cause: 'deadline' | 'suspend'
  /** When to decide again; null: never, the last stage is done. */
  readonly wakeAt: MonotonicMs | null
}

/** Which stage of fencing is due. Stages that were slept through are skipped, none is ever repeated or taken back. */
export function decideStage(view: StageView, timing: FencerTiming): StageDecision {
  if (view.suspendedMs - view.lease.suspendedMs > timing.suspendLimitMs) {
    return { stage: view.stage === 'kill' ? null : 'kill', cause: 'suspend', wakeAt: null }
  }
  const due = order.findLast((stage) => view.now >= stageAt(stage, view.lease.deadline, timing)) ?? null
  const reached = laterStage(due, view.stage)
  const next = order[rank(reached) + 1]
  return {
    stage: rank(due) > rank(view.stage) ? due : null,
    cause: 'deadline',
    wakeAt:
      next === undefined
        ? null
        : (Math.min(stageAt(next, view.lease.deadline, timing), view.now + suspendCheckMs) as MonotonicMs),
  }
}

/** The moment from which `stage` is due. */
export function stageAt(stage: FencingStage, deadline: MonotonicMs, timing: FencerTiming): MonotonicMs {
  const before = {
    fast: timing.fastBeforeMs,
    immediate: timing.immediateBeforeMs,
    kill: timing.killBeforeMs,
  } satisfies Record<FencingStage, number>
  return (deadline - before[stage]) as MonotonicMs
}

export interface ArmView {
  readonly now: MonotonicMs
  readonly suspendedMs: number
  readonly highestTerm: number
  readonly armed: LeaseDeadline | null
  /** True while the running server is being fenced. */
  readonly fencing: boolean
}

export type ArmJudgement =
  | { readonly lease: LeaseDeadline; readonly because?: never }
  | { readonly lease?: never; readonly because: ArmRefusal }

/** The lease that holds after the agent has sent one, or why that one is refused. */
export function judgeArm(view: ArmView, lease: LeaseDeadline, timing: FencerTiming): ArmJudgement {
  if (lease.term < view.highestTerm) return { because: 'older-term' }
  if (view.fencing) return { because: 'fencing' }
  if (view.suspendedMs - lease.suspendedMs > timing.suspendLimitMs) return { because: 'suspended' }
  if (view.now >= stageAt('fast', lease.deadline, timing)) return { because: 'too-late' }
  const { armed } = view
  // Answers to renewals may be overtaken by later ones; within a term the lease is good until the latest of them.
  if (armed !== null && armed.term === lease.term && armed.deadline > lease.deadline) return { lease: armed }
  return { lease }
}

function rank(stage: FencingStage | null): number {
  return stage === null ? -1 : order.indexOf(stage)
}

function laterStage(one: FencingStage | null, other: FencingStage | null): FencingStage | null {
  return rank(one) >= rank(other) ? one : other
}
