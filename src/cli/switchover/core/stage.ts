import type { AgentAnswer, ClusterEntries } from '../../status/core/status-report.ts'

/** How far a switchover is; `node` is the new leader once there is one. */
export interface SwitchoverStage {
  readonly stage: 'requested' | 'released' | 'acquired' | 'writable' | 'redundant' | 'called-off'
  readonly node: string | null
}

export interface SwitchoverView {
  readonly id: string
  readonly from: string
  readonly entries: ClusterEntries
  readonly answers: ReadonlyMap<string, AgentAnswer>
}

/**
 * Judged by what the cluster is, not by what was said about it: the lease moved, the new leader accepts writes, the old
 * one streams. A request that is gone while the old leader leads and accepts writes was called off.
 */
export function switchoverStage({ id, from, entries, answers }: SwitchoverView): SwitchoverStage {
  const { leader, switchover, members } = entries
  if (leader === null) return { stage: 'released', node: null }
  const answer = answers.get(leader.node)
  const writable = answer?.answered === true && answer.writable
  if (leader.node === from) {
    if (switchover?.id === id) return { stage: 'requested', node: null }
    return writable ? { stage: 'called-off', node: from } : { stage: 'released', node: null }
  }
  if (!writable) return { stage: 'acquired', node: leader.node }
  const old = members.find(({ node }) => node === from)
  const back = old?.role === 'standby' && old.state === 'streaming'
  return { stage: back ? 'redundant' : 'writable', node: leader.node }
}
