import type { Lsn, TimelineId } from '../../wal/core/lsn.ts'
import { systemClock, type Clock } from '../../std/clock.ts'
import { describeTarget, type ConnectionTarget } from '../connection-target.ts'
import { authenticate } from './authenticate.ts'
import { receiveBaseBackup, type BaseBackupOptions, type BaseBackupPart } from './base-backup.ts'
import { cancelCommand } from './cancel-command.ts'
import { createPhysicalSlotCommand, dropSlotCommand, quoteName, readSlotCommand } from './core/command.ts'
import { lsnOf, parseMemory, textOf, textOrNull, timelineOf } from './core/row-value.ts'
import { replicationFaults } from './faults.ts'
import { openMessageChannel, protocolFault } from './message-channel.ts'
import { runCommand, type CommandOptions, type Rows } from './simple-command.ts'
import { openWalStream, type WalStream, type WalStreamOptions } from './wal-stream.ts'

export interface SystemIdentity {
  readonly systemIdentifier: bigint
  readonly timeline: TimelineId
  /** The end of what the server has flushed to its disk; on a standby of what it has replayed or received. */
  readonly flushLsn: Lsn
  readonly database: string | null
}

export interface SlotState {
  readonly kind: string
  /** The oldest WAL that the slot keeps; null when it keeps none (never reserved, or lost). */
  readonly restartLsn: Lsn | null
  readonly restartTimeline: TimelineId | null
}

export interface TimelineHistoryFile {
  /** `00000002.history` */
  readonly fileName: string
  readonly content: Uint8Array
}

/**
 * One physical replication connection. It does one thing at a time: a base backup or a WAL stream must have ended before
 * the next command. Any failure other than an error that the server reports leaves it closed.
 */
export interface ReplicationConnection extends AsyncDisposable {
  identifySystem(): Promise<SystemIdentity>
  /** The value of a parameter as SHOW prints it. */
  show(parameter: string): Promise<string>
  walSegmentBytes(): Promise<number>
  createPhysicalSlot(name: string, options: { readonly reserveWal: boolean }): Promise<void>
  /** Undefined when there is no such slot. */
  readSlot(name: string): Promise<SlotState | undefined>
  dropSlot(name: string): Promise<void>
  /** There is none for timeline 1. */
  timelineHistory(timeline: TimelineId): Promise<TimelineHistoryFile>
  baseBackup(options: BaseBackupOptions): AsyncIterable<BaseBackupPart>
  startPhysicalReplication(options: WalStreamOptions): Promise<WalStream>
  /** True while bytes wait in the network because the consumer is slower than the server. */
  readonly paused: boolean
}

export interface ReplicationConnectionOptions {
  /** Ends whatever waits and the connection itself, at once. */
  readonly signal?: AbortSignal | undefined
  /** How long any wait for an answer may go without a single byte; connecting gets at most ten seconds of it. */
  readonly timeoutMs?: number
  readonly clock?: Clock
}

/** As `wal_receiver_timeout`. */
const defaultTimeoutMs = 60_000
const longestConnectMs = 10_000

export async function openReplicationConnection(
  target: ConnectionTarget,
  options: ReplicationConnectionOptions = {},
): Promise<ReplicationConnection> {
  const { signal, timeoutMs = defaultTimeoutMs, clock = systemClock } = options
  const peer = describeTarget(target)
  const taken = await authenticate(target, { signal, timeoutMs: Math.min(timeoutMs, longestConnectMs) })
  const channel = openMessageChannel(taken.socket, { peer, signal })

  async function run(command: string, doing: string, kinds: CommandOptions['kinds'] = {}): Promise<Rows> {
    return runCommand(channel, command, { doing: `${doing} of ${peer}`, timeoutMs, kinds })
  }

  /** Reads the answer's values; a value of a wrong form breaks the protocol. */
  async function ask<Value>(
    command: string,
    doing: string,
    read: (rows: Rows) => Value,
    kinds: CommandOptions['kinds'] = {},
  ): Promise<Value> {
    const rows = await run(command, doing, kinds)
    try {
      return read(rows)
    } catch (error) {
      throw protocolFault(`${doing} of ${peer}`, error)
    }
  }

  const show = (parameter: string): Promise<string> =>
    ask(`SHOW ${quoteName(parameter)}`, `read the parameter ${parameter}`, (rows) => textOf(onlyRow(rows), parameter))

  return {
    identifySystem: () =>
      ask('IDENTIFY_SYSTEM', 'read the identity', (rows) => {
        const row = onlyRow(rows)
        return {
          systemIdentifier: BigInt(textOf(row, 'systemid')),
          timeline: timelineOf(row, 'timeline'),
          flushLsn: lsnOf(row, 'xlogpos'),
          database: textOrNull(row, 'dbname'),
        }
      }),
    show,
    walSegmentBytes: async () => {
      const text = await show('wal_segment_size')
      const bytes = parseMemory(text)
      if (bytes !== undefined) return bytes
      throw protocolFault(`read the segment size of ${peer}`, `the server says ${text}`)
    },
    createPhysicalSlot: async (name, slotOptions) => {
      await run(createPhysicalSlotCommand(name, slotOptions), `create the slot ${name}`)
    },
    readSlot: (name) => ask(readSlotCommand(name), `read the slot ${name}`, readSlotState),
    dropSlot: async (name) => {
      await run(dropSlotCommand(name), `drop the slot ${name}`)
    },
    timelineHistory: (timeline) =>
      ask(
        `TIMELINE_HISTORY ${timeline}`,
        `read the history of timeline ${timeline}`,
        (rows) => {
          const row = onlyRow(rows)
          return { fileName: textOf(row, 'filename'), content: row.get('content') ?? new Uint8Array(0) }
        },
        { '58P01': replicationFaults['postgres-timeline-history-missing'] },
      ),
    baseBackup: (backupOptions) =>
      receiveBaseBackup(channel, { ...backupOptions, timeoutMs, cancel: () => cancelCommand(target, taken) }),
    startPhysicalReplication: (streamOptions) => openWalStream(channel, { timeoutMs, ...streamOptions, clock }),
    get paused() {
      return channel.paused
    },
    [Symbol.asyncDispose]: () => channel.close(),
  }
}

function onlyRow(rows: Rows): Rows[number] {
  const row = rows[0]
  if (row === undefined || rows.length !== 1) throw new RangeError(`the answer has ${rows.length} rows instead of one`)
  return row
}

function readSlotState(rows: Rows): SlotState | undefined {
  const row = onlyRow(rows)
  const kind = textOrNull(row, 'slot_type')
  if (kind === null) return undefined
  const restartTimeline = textOrNull(row, 'restart_tli')
  return {
    kind,
    restartLsn: textOrNull(row, 'restart_lsn') === null ? null : lsnOf(row, 'restart_lsn'),
    restartTimeline: restartTimeline === null ? null : timelineOf(row, 'restart_tli'),
  }
}
