import type { MemberEntry } from '../../../../cluster/core/keys.ts'

/** Where a backup is taken: on any healthy standby, on the primary, or on the node of this name. */
export type BackupFrom = 'standby' | 'primary' | { readonly node: string }

/** A standby further behind is not healthy: its backup would begin long ago and end before what was just written. */
const mostLagBytes = 256n * 1024n * 1024n
/** Standbys closer to each other than this are equally near. */
const grainBytes = 16n * 1024n * 1024n

/**
 * The node to take a backup from, or why there is none. Of the standbys that stream on the leader's timeline and are near
 * it: first those that never lead (`noFailover`), since no promotion ends their backup; then the one that is least behind.
 * Where no standby is healthy, a standby that is merely preferred gives way to the primary.
 */
export function chooseBackupNode(
  members: readonly MemberEntry[],
  from: BackupFrom,
): { readonly node: string } | { readonly none: string } {
  if (typeof from === 'object') {
    const found = members.find(({ node }) => node === from.node)
    return found === undefined ? { none: `the cluster has no node ${from.node} that is running` } : { node: found.node }
  }
  const primary = members.find(({ role, trouble }) => role === 'primary' && trouble === null)
  if (from === 'primary') return primary === undefined ? { none: 'no primary is running' } : { node: primary.node }
  const end = primary?.flushLsn ?? null
  const lagOf = (member: MemberEntry): bigint => {
    const lag = end === null || member.replayLsn === null ? 0n : end - member.replayLsn
    return lag < 0n ? 0n : lag
  }
  const healthy = members.filter(
    (member) =>
      member.role === 'standby' &&
      member.state === 'streaming' &&
      member.trouble === null &&
      member.replayLsn !== null &&
      (primary === undefined || member.timeline === primary.timeline) &&
      lagOf(member) <= mostLagBytes,
  )
  const rank = (member: MemberEntry): bigint => lagOf(member) / grainBytes
  const [best] = healthy.toSorted(
    (a, b) =>
      Number(b.tags.noFailover) - Number(a.tags.noFailover) || Number(rank(a) - rank(b)) || (a.node < b.node ? -1 : 1),
  )
  if (best !== undefined) return { node: best.node }
  return primary === undefined ? { none: 'neither a healthy standby nor a primary is running' } : { node: primary.node }
}
