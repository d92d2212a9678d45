import { readJson } from '../../../cluster/core/json-reader.ts'
import type { Coordinator, LeaseId } from '../../../coordinator/coordinator.ts'
import { withDeadline } from '../../../std/deadline.ts'

/**
 * A backup that one node asks another for, since only that one can read its files. It stands in the coordinator under the
 * lease of who asks, so it is gone when that process is; whoever carries it out looks for it all the time.
 */
export interface BackupOrder {
  readonly id: string
  /** Who is to take the backup. */
  readonly node: string
  /** Options of `holdfast backup`. */
  readonly options: readonly string[]
  readonly state: 'wanted' | 'running' | 'ended'
  /** Of a backup that has ended: what the command printed as JSON, or what it said of its failure. */
  readonly document: string | null
  readonly error: string | null
  readonly exitCode: number | null
}

const orderKey = (cluster: string): string => `/holdfast-jobs/${cluster}/backup-order`
const deadlineMs = 2000

export interface OrderReading {
  readonly order: BackupOrder | undefined
  readonly revision: number
  readonly lease: LeaseId | undefined
}

/** Throws `MalformedValue` where somebody else wrote. */
export async function readOrder(coordinator: Coordinator, cluster: string, signal: AbortSignal): Promise<OrderReading> {
  const key = orderKey(cluster)
  const snapshot = await withDeadline('read the backup order', deadlineMs, signal, (deadline) =>
    coordinator.list(key, { signal: deadline }),
  )
  const entry = snapshot.entries.find((found) => found.key === key)
  if (entry === undefined) return { order: undefined, revision: 0, lease: undefined }
  return { order: decodeOrder(entry.value), revision: entry.modRevision, lease: entry.lease }
}

/** False when somebody else has written, or the lease is gone. */
export async function writeOrder(
  coordinator: Coordinator,
  cluster: string,
  { order, revision, lease }: OrderReading,
  signal: AbortSignal,
): Promise<boolean> {
  const key = orderKey(cluster)
  const value = JSON.stringify(order)
  const result = await withDeadline('write the backup order', deadlineMs, signal, (deadline) =>
    coordinator.transact(
      { conditions: [{ key, modRevision: revision }], changes: [{ put: key, value, lease }] },
      { signal: deadline },
    ),
  )
  return result.committed
}

export function watchOrders(coordinator: Coordinator, cluster: string, signal: AbortSignal): AsyncIterable<void> {
  return coordinator.watch(orderKey(cluster), { signal })
}

function decodeOrder(json: string): BackupOrder {
  const fields = readJson('backup order', json)
  return {
    id: fields.text('id'),
    node: fields.text('node'),
    options: fields.texts('options'),
    state: fields.oneOf('state', ['wanted', 'running', 'ended']),
    document: fields.textOrNull('document'),
    error: fields.textOrNull('error'),
    exitCode: fields.numberOrNull('exitCode'),
  }
}
