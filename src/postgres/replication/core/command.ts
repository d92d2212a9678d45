import { formatLsn } from '../../../wal/core/lsn.ts'
import type { Lsn, TimelineId } from '../../../wal/core/lsn.ts'

/**
 * The text of the replication commands (PostgreSQL 18 "Streaming Replication Protocol"; the forms that 15 understands
 * too). Names and labels are quoted, so that whatever they hold stays a name.
 */
export function createPhysicalSlotCommand(name: string, options: { readonly reserveWal: boolean }): string {
  return `CREATE_REPLICATION_SLOT ${quoteName(name)} PHYSICAL${options.reserveWal ? ' (RESERVE_WAL true)' : ''}`
}

export function readSlotCommand(name: string): string {
  return `READ_REPLICATION_SLOT ${quoteName(name)}`
}

export function dropSlotCommand(name: string): string {
  return `DROP_REPLICATION_SLOT ${quoteName(name)}`
}

export function startReplicationCommand(options: {
  readonly slot?: string | undefined
  readonly startLsn: Lsn
  readonly timeline: TimelineId
}): string {
  const slot = options.slot === undefined ? '' : ` SLOT ${quoteName(options.slot)}`
  return `START_REPLICATION${slot} PHYSICAL ${formatLsn(options.startLsn)} TIMELINE ${options.timeline}`
}

export interface BaseBackupCommandOptions {
  readonly label: string
  readonly checkpoint: 'fast' | 'spread'
  readonly progress: boolean
  readonly verifyChecksums: boolean
  readonly manifestChecksums: 'CRC32C' | 'SHA256' | 'NONE'
  readonly tablespaceMap: boolean
  readonly maxRateKilobytesPerSecond?: number | undefined
}

/** WAL is never included, and the server never waits for its archiver: both come through a slot. */
export function baseBackupCommand(options: BaseBackupCommandOptions): string {
  const items = [
    `LABEL ${quoteText(options.label)}`,
    `CHECKPOINT '${options.checkpoint}'`,
    `PROGRESS ${options.progress}`,
    'WAL false',
    'WAIT false',
    `MANIFEST 'yes'`,
    `MANIFEST_CHECKSUMS '${options.manifestChecksums}'`,
    `VERIFY_CHECKSUMS ${options.verifyChecksums}`,
    `TABLESPACE_MAP ${options.tablespaceMap}`,
  ]
  if (options.maxRateKilobytesPerSecond !== undefined) items.push(`MAX_RATE ${options.maxRateKilobytesPerSecond}`)
  return `BASE_BACKUP (${items.join(', ')})`
}

/** The server's grammar knows no quote within a name: a doubled one makes it refuse the command and nothing worse. */
export function quoteName(name: string): string {
  return `"${name.replaceAll('"', '""')}"`
}

export function quoteText(text: string): string {
  return `'${text.replaceAll("'", "''")}'`
}
