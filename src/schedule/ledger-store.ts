import { MalformedValue } from '../cluster/core/json-reader.ts'
import { clusterKeys, decodeLeader, encodeEntry } from '../cluster/core/keys.ts'
import type { LeaderEntry } from '../cluster/core/keys.ts'
import type { Coordinator } from '../coordinator/coordinator.ts'
import { withDeadline } from '../std/deadline.ts'
import { decodeLedger, encodeLedger } from './core/ledger.ts'
import type { Ledger } from './core/ledger.ts'

/**
 * The ledger in the coordinator. Not below the cluster's own keys, which every agent reads in every cycle. Nothing is lost
 * with it but what has become of the jobs: a coordinator that is made anew begins with an empty one.
 */
const ledgerKey = (cluster: string): string => `/holdfast-jobs/${cluster}/ledger`

const deadlineMs = 2000

export interface LedgerReading {
  readonly ledger: Ledger
  readonly revision: number
  /** Why what is there cannot be read; the ledger is then empty. */
  readonly unreadable: string | null
}

export async function readLedger(
  coordinator: Coordinator,
  cluster: string,
  signal?: AbortSignal,
): Promise<LedgerReading> {
  const key = ledgerKey(cluster)
  const snapshot = await withDeadline('read the ledger of the jobs', deadlineMs, signal, (deadline) =>
    coordinator.list(key, { signal: deadline }),
  )
  const entry = snapshot.entries.find((found) => found.key === key)
  if (entry === undefined) return { ledger: {}, revision: 0, unreadable: null }
  try {
    return { ledger: decodeLedger(entry.value), revision: entry.modRevision, unreadable: null }
  } catch (error) {
    if (!(error instanceof MalformedValue)) throw error
    return { ledger: {}, revision: entry.modRevision, unreadable: error.message }
  }
}

/** Who leads; null when nobody does. */
export async function readLeader(
  coordinator: Coordinator,
  cluster: string,
  signal?: AbortSignal,
): Promise<{ readonly entry: LeaderEntry; readonly revision: number } | null> {
  const { leader } = clusterKeys(cluster)
  const snapshot = await withDeadline('read the leader', deadlineMs, signal, (deadline) =>
    coordinator.list(leader, { signal: deadline }),
  )
  const found = snapshot.entries.find(({ key }) => key === leader)
  return found === undefined ? null : { entry: decodeLeader(found.value), revision: found.modRevision }
}

/**
 * Replaces the ledger that was read. `changed`: somebody else has, read it again. `not-leading`: another node leads, or
 * nobody does, and only the leader may write.
 */
export async function writeLedger(
  coordinator: Coordinator,
  write: {
    readonly cluster: string
    readonly leader: LeaderEntry
    readonly ledger: Ledger
    readonly revision: number
  },
  signal?: AbortSignal,
): Promise<'written' | 'changed' | 'not-leading'> {
  const { cluster, ledger, revision } = write
  const leader = await readLeader(coordinator, cluster, signal)
  if (leader === null || encodeEntry(leader.entry) !== encodeEntry(write.leader)) return 'not-leading'
  const key = ledgerKey(cluster)
  const { committed } = await withDeadline('write the ledger of the jobs', deadlineMs, signal, (deadline) =>
    coordinator.transact(
      {
        conditions: [
          { key, modRevision: revision },
          { key: clusterKeys(cluster).leader, modRevision: leader.revision },
        ],
        changes: [{ put: key, value: encodeLedger(ledger) }],
      },
      { signal: deadline },
    ),
  )
  return committed ? 'written' : 'changed'
}
