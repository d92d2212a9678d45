import type { MonotonicMs } from '../../std/clock.ts'
import type { Lsn, TimelineId } from '../../wal/core/lsn.ts'
import type { MemberEntry, StateEntry } from './keys.ts'

/**
 * Who takes over when the leader's lease is gone. Every standby first cuts itself off from WAL and reports what it holds;
 * these frozen reports are the votes. A node may stand when enough voters have reported that one of them must have every
 * acknowledged commit, and when none of them holds more than itself. Two nodes can both be entitled (equal data): the
 * lease, taken by compare-and-set, goes to one.
 */
export interface ElectionView {
  readonly now: MonotonicMs
  readonly self: string
  readonly state: StateEntry
  readonly members: readonly MemberEntry[]
  readonly leaderAbsentSince: MonotonicMs
}

export type Election =
  | { readonly outcome: 'stand'; readonly text: string }
  | { readonly outcome: 'wait'; readonly text: string; readonly until: MonotonicMs | null }

/** How long the others leave the lease to the best before one that holds as much may take it. */
export const bestGraceMs = 1000

/** How long reports are waited for with durability `async`, where no number of votes is enough. */
export const reportGraceMs = 1000

interface Ballot {
  readonly member: MemberEntry
  readonly timeline: TimelineId
  readonly flushLsn: Lsn
}

export function elect(view: ElectionView): Election {
  const { state, self } = view
  const ballots = view.members.flatMap((member) => ballotOf(member, state.term))
  const own = ballots.find((ballot) => ballot.member.node === self)
  if (own === undefined) return wait('this node has not reported its frozen position yet')
  if (!own.member.eligible) return wait('this node may not lead')
  return state.mode === 'async' ? electReachable(view, own, ballots) : electByVote(view, own, ballots)
}

function electByVote(view: ElectionView, own: Ballot, ballots: readonly Ballot[]): Election {
  const { names, needed } = view.state.voters
  if (!names.includes(own.member.node)) return wait(`this node was not in the durability set (${names.join(', ')})`)
  const votes = ballots.filter((ballot) => names.includes(ballot.member.node))
  if (votes.length < needed) {
    const missing = names.filter((name) => votes.every((vote) => vote.member.node !== name))
    return wait(`${votes.length} of ${needed} needed votes; missing: ${missing.join(', ')}`)
  }
  const ahead = votes.find((vote) => compareData(vote, own) > 0)
  if (ahead !== undefined) return wait(`${ahead.member.node} holds more WAL`)
  return amongEquals(view, own, votes, `${votes.length} of ${names.length} voters reported, ${needed} needed`)
}

function electReachable(view: ElectionView, own: Ballot, ballots: readonly Ballot[]): Election {
  const until = (view.leaderAbsentSince + reportGraceMs) as MonotonicMs
  const silent = view.members.filter((member) => member.eligible && member.frozenForTerm !== view.state.term)
  if (silent.length > 0 && view.now < until) {
    return wait(`no report yet from ${silent.map((member) => member.node).join(', ')}`, until)
  }
  const ahead = ballots.find((ballot) => ballot.member.eligible && compareData(ballot, own) > 0)
  const patience = (until + bestGraceMs) as MonotonicMs
  if (ahead !== undefined && view.now < patience) return wait(`${ahead.member.node} holds more WAL`, patience)
  return amongEquals(view, own, ballots, 'the best of the reachable nodes')
}

/** Nobody holds more than this node; among those that hold as much the best rank goes first, the others after a grace. */
function amongEquals(view: ElectionView, own: Ballot, ballots: readonly Ballot[], text: string): Election {
  const equals = ballots.filter((ballot) => ballot.member.eligible && compareData(ballot, own) === 0)
  const best = equals.toSorted((a, b) => compareRank(b, a, view.state.preferred))[0]
  if (best === undefined || best.member.node === own.member.node) return { outcome: 'stand', text }
  const until = (view.leaderAbsentSince + bestGraceMs) as MonotonicMs
  if (view.now >= until)
    return { outcome: 'stand', text: `${text}; ${best.member.node} ranks before, but did not stand` }
  return wait(`${best.member.node} ranks before this node`, until)
}

function ballotOf(member: MemberEntry, term: number): readonly Ballot[] {
  if (member.frozenForTerm !== term || member.timeline === null || member.flushLsn === null) return []
  return [{ member, timeline: member.timeline, flushLsn: member.flushLsn }]
}

/** A later timeline was led in a later term, so it decides before the LSN does. */
function compareData(a: Ballot, b: Ballot): number {
  if (a.timeline !== b.timeline) return a.timeline - b.timeline
  return a.flushLsn === b.flushLsn ? 0 : a.flushLsn > b.flushLsn ? 1 : -1
}

function compareRank(a: Ballot, b: Ballot, preferred: string | null): number {
  const asked = Number(a.member.node === preferred) - Number(b.member.node === preferred)
  if (asked !== 0) return asked
  if (a.member.priority !== b.member.priority) return a.member.priority - b.member.priority
  return a.member.node < b.member.node ? 1 : -1
}

function wait(text: string, until: MonotonicMs | null = null): Election {
  return { outcome: 'wait', text, until }
}
