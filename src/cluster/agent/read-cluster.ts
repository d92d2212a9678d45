import type { Coordinator, Entry, LeaseId } from '../../coordinator/coordinator.ts'
import {
  decodeHistory,
  decodeInitialize,
  decodeLeader,
  decodeMember,
  decodePause,
  decodeState,
  decodeSwitchover,
} from '../core/keys.ts'
import type { ClusterKeys, HistoryEntry } from '../core/keys.ts'
import type { ClusterView, Versioned } from '../core/view.ts'

/** The agreed state as the coordinator has it now, and what only the agent itself needs of it. */
export interface ClusterReading {
  readonly cluster: ClusterView
  readonly leaderLease: LeaseId | null
  readonly history: readonly HistoryEntry[]
}

export async function readCluster(
  coordinator: Coordinator,
  keys: ClusterKeys,
  signal: AbortSignal,
): Promise<ClusterReading> {
  const snapshot = await coordinator.list(keys.prefix, { signal })
  const find = (key: string): Entry | undefined => snapshot.entries.find((entry) => entry.key === key)
  const below = (prefix: string): readonly Entry[] => snapshot.entries.filter((entry) => entry.key.startsWith(prefix))
  const pause = find(keys.pause)
  return {
    cluster: {
      initialize: versioned(find(keys.initialize), decodeInitialize),
      leader: versioned(find(keys.leader), decodeLeader),
      state: versioned(find(keys.state), decodeState),
      members: below(keys.members).map((entry) => decodeMember(entry.value)),
      switchover: versioned(find(keys.switchover), decodeSwitchover),
      pause: pause === undefined ? null : decodePause(pause.value),
    },
    leaderLease: find(keys.leader)?.lease ?? null,
    history: below(keys.history).map((entry) => decodeHistory(entry.value)),
  }
}

function versioned<Value>(entry: Entry | undefined, decode: (json: string) => Value): Versioned<Value | null> {
  if (entry === undefined) return { value: null, revision: 0 }
  return { value: decode(entry.value), revision: entry.modRevision }
}
