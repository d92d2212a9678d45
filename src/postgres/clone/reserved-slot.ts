import { Fault } from '../../std/fault.ts'
import { formatLsn, type Lsn } from '../../wal/core/lsn.ts'
import type { ConnectionTarget } from '../connection-target.ts'
import { replicationFaults } from '../replication/faults.ts'
import { openReplicationConnection, type ReplicationConnection } from '../replication/replication-connection.ts'

/** A slot that keeps WAL from `restartLsn` on. */
export interface ReservedSlot {
  readonly name: string
  readonly restartLsn: Lsn
  readonly created: boolean
}

/**
 * Makes a slot that keeps WAL from now on, or takes the one that is there if it keeps any. One that keeps none (made
 * without reserving, or invalidated) is made anew: nothing is lost with it.
 */
export async function reserveSlot(connection: ReplicationConnection, name: string): Promise<ReservedSlot> {
  const found = await connection.readSlot(name)
  if (found !== undefined && found.restartLsn !== null) return { name, restartLsn: found.restartLsn, created: false }
  if (found !== undefined) await connection.dropSlot(name)
  await connection.createPhysicalSlot(name, { reserveWal: true })
  const made = await connection.readSlot(name)
  if (made === undefined || made.restartLsn === null) throw slotTooNew(name, 'it keeps no WAL')
  return { name, restartLsn: made.restartLsn, created: true }
}

/** A clone starts to replay at the backup's start, so the slot must keep WAL from there. */
export function requireSlotBefore(slot: ReservedSlot | undefined, startLsn: Lsn): void {
  if (slot === undefined || slot.restartLsn <= startLsn) return
  throw slotTooNew(slot.name, `it begins at ${formatLsn(slot.restartLsn)}, after ${formatLsn(startLsn)}`)
}

/**
 * Drops the slot that a failed clone made, so that it does not keep WAL for nobody until the disk is full. When the server
 * cannot be reached either, the slot stays; the next attempt takes it.
 */
export async function releaseSlot(target: ConnectionTarget, name: string): Promise<void> {
  try {
    await using connection = await openReplicationConnection(target, { timeoutMs: 5000 })
    await connection.dropSlot(name)
  } catch (error) {
    if (!(error instanceof Fault)) throw error
  }
}

function slotTooNew(name: string, why: string): Fault {
  return new Fault(replicationFaults['postgres-slot-too-new'], `Cannot clone with the slot ${name}: ${why}`)
}
