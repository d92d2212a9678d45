import type { Lsn, TimelineId } from '../../wal/core/lsn.ts'
import { decodeBaseBackupMessage } from './core/base-backup-message.ts'
import { baseBackupCommand } from './core/command.ts'
import { lsnOf, textOrNull, timelineOf } from './core/row-value.ts'
import { replicationFaults } from './faults.ts'
import { lost, protocolFault, type MessageChannel } from './message-channel.ts'
import {
  nextOrFail,
  readReady,
  readRows,
  sendCommand,
  unexpected,
  type CommandOptions,
  type Rows,
} from './simple-command.ts'
import { Fault } from '../../std/fault.ts'

export interface BaseBackupOptions {
  readonly label: string
  /** `fast` checkpoints at once; `spread` may wait for minutes before the first part comes. */
  readonly checkpoint: 'fast' | 'spread'
  /** Asks the server to add up sizes first and to report on the way. */
  readonly progress?: boolean
  /** Whether the server verifies every page's checksum while it reads. */
  readonly verifyChecksums?: boolean
  readonly manifestChecksums?: 'CRC32C' | 'SHA256' | 'NONE'
  /** True: a `tablespace_map` file in place of the links in pg_tblspc. */
  readonly tablespaceMap?: boolean
  readonly maxRateKilobytesPerSecond?: number | undefined
  /** How long the checkpoint before the first part may take. */
  readonly checkpointTimeoutMs?: number
}

export interface BackupTablespace {
  /** Null for the data directory itself. */
  readonly oid: number | null
  readonly location: string | null
  /** The server's estimate; null without `progress`. */
  readonly sizeBytes: number | null
}

/** A base backup in the order it comes: start, then archives with their data, the manifest with its data, end. */
export type BaseBackupPart =
  | {
      readonly kind: 'start'
      readonly startLsn: Lsn
      readonly timeline: TimelineId
      readonly tablespaces: readonly BackupTablespace[]
    }
  /** Data that follows belongs to this tar archive: `base.tar`, or `<oid>.tar` of a tablespace. */
  | { readonly kind: 'archive'; readonly name: string; readonly tablespacePath: string | null }
  /** Data that follows belongs to the backup manifest. */
  | { readonly kind: 'manifest' }
  | { readonly kind: 'data'; readonly data: Uint8Array }
  | { readonly kind: 'progress'; readonly bytes: number }
  | { readonly kind: 'end'; readonly endLsn: Lsn; readonly timeline: TimelineId }

const defaultCheckpointTimeoutMs = { fast: 15 * 60_000, spread: 60 * 60_000 }

/**
 * Receives a base backup no faster than its parts are taken. Leaving the loop before the end cancels the backup and ends
 * the connection: the protocol knows no other way.
 */
export async function* receiveBaseBackup(
  channel: MessageChannel,
  options: BaseBackupOptions & { readonly timeoutMs: number; readonly cancel: () => Promise<void> },
): AsyncGenerator<BaseBackupPart, void, undefined> {
  const doing = `take a base backup of ${channel.peer}`
  const kinds = { XX001: replicationFaults['postgres-base-backup-damaged'] }
  const command: CommandOptions = { doing, timeoutMs: options.timeoutMs, kinds }
  const checkpointTimeoutMs = options.checkpointTimeoutMs ?? defaultCheckpointTimeoutMs[options.checkpoint]
  let settled = false
  try {
    sendCommand(channel, baseBackupCommand(withDefaults(options)))
    const [begin] = await readRows(channel, { ...command, timeoutMs: checkpointTimeoutMs })
    const tablespaces = await readRows(channel, command)
    yield startPart(begin, tablespaces)
    yield* archiveParts(channel, command)
    const [finish] = await readRows(channel, command)
    await readReady(channel, command)
    settled = true
    if (finish === undefined) throw new RangeError('the backup ended without its end position')
    yield { kind: 'end', endLsn: lsnOf(finish, 'recptr'), timeline: timelineOf(finish, 'tli') }
  } catch (error) {
    settled ||= error instanceof Fault && 'sqlState' in error.details
    throw backupFault(error, channel, doing)
  } finally {
    if (!settled) await abandon(channel, options.cancel)
  }
}

function withDefaults(options: BaseBackupOptions): Parameters<typeof baseBackupCommand>[0] {
  return {
    label: options.label,
    checkpoint: options.checkpoint,
    progress: options.progress ?? false,
    verifyChecksums: options.verifyChecksums ?? true,
    manifestChecksums: options.manifestChecksums ?? 'CRC32C',
    tablespaceMap: options.tablespaceMap ?? false,
    maxRateKilobytesPerSecond: options.maxRateKilobytesPerSecond,
  }
}

function startPart(begin: Rows[number] | undefined, tablespaces: Rows): BaseBackupPart {
  if (begin === undefined) throw new RangeError('the backup began without its start position')
  return {
    kind: 'start',
    startLsn: lsnOf(begin, 'recptr'),
    timeline: timelineOf(begin, 'tli'),
    tablespaces: tablespaces.map((row) => {
      const [oid, size] = [textOrNull(row, 'spcoid'), textOrNull(row, 'size')]
      return {
        oid: oid === null ? null : Number(oid),
        location: textOrNull(row, 'spclocation'),
        sizeBytes: size === null ? null : Number(size) * 1024,
      }
    }),
  }
}

async function* archiveParts(
  channel: MessageChannel,
  command: CommandOptions,
): AsyncGenerator<BaseBackupPart, void, undefined> {
  const first = await nextOrFail(channel, command)
  if (first.kind !== 'copy-out') throw unexpected(channel, first, command)
  for (;;) {
    const message = await nextOrFail(channel, command)
    if (message.kind === 'copy-done') return
    if (message.kind !== 'copy-data') throw unexpected(channel, message, command)
    const part = decodeBaseBackupMessage(message.data)
    if (part.kind === 'archive')
      yield { ...part, tablespacePath: part.tablespacePath === '' ? null : part.tablespacePath }
    else yield part
  }
}

/** The server names damaged blocks in warnings and fails at the end: the operator needs both. */
function backupFault(error: unknown, channel: MessageChannel, doing: string): unknown {
  if (error instanceof RangeError) return protocolFault(doing, error)
  const kind = replicationFaults['postgres-base-backup-damaged']
  if (!(error instanceof Fault) || error.code !== kind.code) return error
  const damage = channel.notices.map((notice) => notice['M'] ?? '').filter((text) => text.includes('checksum'))
  return new Fault(kind, error.message, { details: { ...error.details, damage }, cause: error })
}

async function abandon(channel: MessageChannel, cancel: () => Promise<void>): Promise<void> {
  channel.destroy(lost(channel.peer, 'a base backup was left before its end'))
  await cancel()
}
