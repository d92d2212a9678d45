import type { Fault, FaultKind } from '../../std/fault.ts'
import type { BackendMessage, ServerReport } from './core/backend-message.ts'
import { encodeQuery } from './core/frontend-message.ts'
import { protocolFault, type MessageChannel } from './message-channel.ts'
import { serverFault } from './server-fault.ts'

/** The rows of one answer, each with its values by column name. */
export type Rows = readonly ReadonlyMap<string, Uint8Array | null>[]

export interface CommandOptions {
  /** What the command does, for "Cannot <doing>: …". */
  readonly doing: string
  readonly timeoutMs: number
  /** What certain SQLSTATEs mean for this command. */
  readonly kinds?: Readonly<Record<string, FaultKind>>
}

/** Gives a command that answers with rows at once, and waits until the server is ready for the next. */
export async function runCommand(channel: MessageChannel, command: string, options: CommandOptions): Promise<Rows> {
  sendCommand(channel, command)
  const rows = await readRows(channel, options)
  await readReady(channel, options)
  return rows
}

export function sendCommand(channel: MessageChannel, command: string): void {
  channel.command(encodeQuery(command))
}

/** Reads one set of rows up to its end; `columns` when their description has been read already. */
export async function readRows(
  channel: MessageChannel,
  options: CommandOptions,
  columns: readonly string[] = [],
): Promise<Rows> {
  const rows: ReadonlyMap<string, Uint8Array | null>[] = []
  for (;;) {
    const message = await nextOrFail(channel, options)
    if (message.kind === 'command-complete') return rows
    if (message.kind === 'row-description') columns = message.columns
    else if (message.kind === 'data-row')
      rows.push(new Map(columns.map((name, i) => [name, message.values[i] ?? null])))
    else throw unexpected(channel, message, options)
  }
}

/** Reads on until the server is ready for the next command. */
export async function readReady(channel: MessageChannel, options: CommandOptions): Promise<void> {
  for (;;) {
    const message = await nextOrFail(channel, options)
    if (message.kind === 'ready') return
    if (message.kind !== 'command-complete') throw unexpected(channel, message, options)
  }
}

/** The next message; an error of the server becomes a fault once the server is ready again or has gone. */
export async function nextOrFail(
  channel: MessageChannel,
  options: CommandOptions,
): Promise<Exclude<BackendMessage, { kind: 'error' }>> {
  const message = await channel.next(options.timeoutMs)
  if (message.kind !== 'error') return message
  if (!isFatal(message.report)) await skipToReady(channel, options.timeoutMs)
  throw serverFault(options.doing, message.report, options.kinds)
}

/** After an error that the session survives the server says only that it is ready. */
async function skipToReady(channel: MessageChannel, timeoutMs: number): Promise<void> {
  while ((await channel.next(timeoutMs)).kind !== 'ready');
}

function isFatal(report: ServerReport): boolean {
  const severity = report['V'] ?? report['S']
  return severity === 'FATAL' || severity === 'PANIC'
}

/** The fault for a message that has no place here. The connection is out of step from then on and is ended. */
export function unexpected(channel: MessageChannel, message: BackendMessage, options: CommandOptions): Fault {
  const fault = protocolFault(options.doing, `${channel.peer} sent ${message.kind} where it has no place`)
  channel.destroy(fault)
  return fault
}
