import {
  clusterKeys,
  decodeLeader,
  decodeMember,
  decodePause,
  decodeState,
  decodeSwitchover,
} from '../../cluster/core/keys.ts'
import type { Coordinator, Snapshot } from '../../coordinator/coordinator.ts'
import type { ClusterEntries } from './core/status-report.ts'

/** What the nodes have agreed on, and the snapshot it was read from, for writes that depend on it. */
export async function readClusterEntries(
  coordinator: Coordinator,
  cluster: string,
  signal: AbortSignal,
): Promise<ClusterEntries & { readonly snapshot: Snapshot }> {
  const keys = clusterKeys(cluster)
  const snapshot = await coordinator.list(keys.prefix, { signal })
  const at = <Value>(key: string, decode: (json: string) => Value): Value | null => {
    const entry = snapshot.entries.find((candidate) => candidate.key === key)
    return entry === undefined ? null : decode(entry.value)
  }
  return {
    leader: at(keys.leader, decodeLeader),
    state: at(keys.state, decodeState),
    members: snapshot.entries.filter(({ key }) => key.startsWith(keys.members)).map(({ value }) => decodeMember(value)),
    switchover: at(keys.switchover, decodeSwitchover),
    pause: at(keys.pause, decodePause),
    snapshot,
  }
}
