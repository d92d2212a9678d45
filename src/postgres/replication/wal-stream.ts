import assert from 'node:assert/strict'
import type { Clock } from '../../std/clock.ts'
import { formatLsn, type Lsn, type TimelineId } from '../../wal/core/lsn.ts'
import { startReplicationCommand } from './core/command.ts'
import { encodeCopyDone, encodeStandbyStatus } from './core/frontend-message.ts'
import { lsnOf, timelineOf } from './core/row-value.ts'
import { decodeStreamMessage, type StreamMessage } from './core/stream-message.ts'
import { replicationFaults } from './faults.ts'
import { lost, protocolFault, type MessageChannel } from './message-channel.ts'
import { nextOrFail, readReady, readRows, sendCommand, unexpected, type CommandOptions } from './simple-command.ts'

export interface WalStreamOptions {
  readonly slot?: string | undefined
  /** Where to begin; the caller rounds it down to a segment's start. */
  readonly startLsn: Lsn
  readonly timeline: TimelineId
  /** How long the server may say nothing, asked or unasked, before it counts as lost. */
  readonly timeoutMs?: number
  /** How often our positions are reported even when nothing changes, so that the server knows we are alive. */
  readonly statusIntervalMs?: number
}

export interface WalFeedback {
  readonly write: Lsn
  /** Only what is durable where it was promised: the slot and synchronous commits follow it. */
  readonly flush: Lsn
  /** Left out by a receiver that replays nothing. */
  readonly apply?: Lsn
  /** Asks the server to answer with a keepalive. */
  readonly replyRequested?: boolean
}

export type WalStreamItem =
  /** WAL that continues where the last item ended. */
  | {
      readonly kind: 'wal'
      readonly startLsn: Lsn
      readonly data: Uint8Array
      /** The end of the server's WAL when it sent this. */
      readonly serverLsn: Lsn
      readonly sentAtEpochMs: number
    }
  /** `replyRequested`: answered already with the last feedback; a fresh flush and feedback help a server that stops. */
  | {
      readonly kind: 'keepalive'
      readonly serverLsn: Lsn
      readonly sentAtEpochMs: number
      readonly replyRequested: boolean
    }
  /** The last item: the server's history leaves this timeline at `switchLsn` for `nextTimeline`. */
  | { readonly kind: 'timeline-end'; readonly nextTimeline: TimelineId; readonly switchLsn: Lsn }
  /** The last item: the server has sent everything it had and stops. */
  | { readonly kind: 'server-shutdown' }

/** A running stream of WAL; iterate it once. It reads on only as fast as its items are taken. */
export interface WalStream extends AsyncIterable<WalStreamItem>, AsyncDisposable {
  /** Reports positions to the server now, and again whenever it asks or an interval passes. They never go back. */
  sendFeedback(feedback: WalFeedback): void
  /** Asks the server to end the stream; what it sent before is still given, then the iteration ends. */
  stop(): void
}

const defaultStatusIntervalMs = 10_000
const batchBytes = 1024 * 1024
const none = 0n as Lsn

type WalItem = Extract<WalStreamItem, { readonly kind: 'wal' }>

export async function openWalStream(
  channel: MessageChannel,
  options: WalStreamOptions & { readonly timeoutMs: number; readonly clock: Clock },
): Promise<WalStream> {
  const command: CommandOptions = {
    doing: `stream WAL of ${channel.peer} from ${formatLsn(options.startLsn)} on timeline ${options.timeline}`,
    timeoutMs: options.timeoutMs,
    kinds: { '58P01': replicationFaults['postgres-wal-removed'] },
  }
  sendCommand(channel, startReplicationCommand(options))
  const first = await nextOrFail(channel, command)
  if (first.kind === 'copy-both') return new RunningWalStream(channel, command, options)
  if (first.kind !== 'row-description') throw unexpected(channel, first, command)
  // A server whose history leaves this timeline exactly at the start position ends the stream before it begins.
  return endedWalStream(await readEnd(channel, command, first.columns))
}

class RunningWalStream implements WalStream {
  readonly #channel: MessageChannel
  readonly #command: CommandOptions
  readonly #clock: Clock
  readonly #ticker: NodeJS.Timeout
  readonly #items: AsyncGenerator<WalStreamItem, void, undefined>
  #feedback: WalFeedback = { write: none, flush: none }
  #expectedLsn: Lsn
  #heard = true
  #stopping = false
  #ended = false

  constructor(
    channel: MessageChannel,
    command: CommandOptions,
    options: WalStreamOptions & { readonly timeoutMs: number; readonly clock: Clock },
  ) {
    this.#channel = channel
    this.#command = command
    this.#clock = options.clock
    this.#expectedLsn = options.startLsn
    const wanted = options.statusIntervalMs ?? defaultStatusIntervalMs
    this.#ticker = setInterval(() => this.#tick(), Math.min(wanted, options.timeoutMs / 3))
    this.#items = this.#read()
  }

  [Symbol.asyncIterator](): AsyncIterator<WalStreamItem> {
    return this.#items
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#finish()
  }

  sendFeedback(next: WalFeedback): void {
    const last = this.#feedback
    assert(next.flush >= last.flush && next.write >= last.write, 'reported WAL positions never go back')
    assert(next.flush <= next.write, 'WAL is written before it is flushed')
    this.#feedback = next
    if (!this.#ended) this.#report(next.replyRequested ?? false)
  }

  stop(): void {
    if (this.#stopping || this.#ended || this.#channel.closed) return
    this.#stopping = true
    this.#channel.write(encodeCopyDone())
  }

  #tick(): void {
    if (this.#channel.closed) this.#end()
    else this.#report(!this.#heard)
    this.#heard = false
  }

  #report(replyRequested: boolean): void {
    if (this.#stopping) return
    const { write, flush, apply = none } = this.#feedback
    this.#channel.write(encodeStandbyStatus({ write, flush, apply, replyRequested }, this.#clock.wall()))
  }

  async *#read(): AsyncGenerator<WalStreamItem, void, undefined> {
    try {
      while (!this.#ended) {
        const item = await this.#step()
        if (item !== undefined) yield item
      }
    } finally {
      await this.#finish()
    }
  }

  /** The next item, or undefined when the stream ended because we asked. */
  async #step(): Promise<WalStreamItem | undefined> {
    try {
      const message = await nextOrFail(this.#channel, this.#command)
      this.#heard = true
      if (message.kind === 'copy-data') return this.#accept(decodeStreamMessage(message.data))
      if (message.kind === 'copy-done') {
        this.stop()
        this.#end()
        return await readEnd(this.#channel, this.#command)
      }
      if (message.kind === 'command-complete') {
        // A server that shuts down completes the command without ending the copy, and leaves.
        this.#end()
        this.#channel.destroy(lost(this.#channel.peer, 'the server has shut down'))
        return { kind: 'server-shutdown' }
      }
      throw unexpected(this.#channel, message, this.#command)
    } catch (error) {
      this.#end()
      if (!(error instanceof RangeError)) throw error
      const fault = protocolFault(this.#command.doing, error)
      this.#channel.destroy(fault)
      throw fault
    }
  }

  #accept(message: StreamMessage): WalStreamItem {
    if (message.kind === 'keepalive') {
      if (message.replyRequested) this.#report(false)
      return message
    }
    if (message.startLsn !== this.#expectedLsn) {
      throw new RangeError(`expected WAL from ${formatLsn(this.#expectedLsn)} and got ${formatLsn(message.startLsn)}`)
    }
    const wal = this.#gather(message)
    this.#expectedLsn = (this.#expectedLsn + BigInt(wal.data.length)) as Lsn
    return wal
  }

  /** Joins what has already arrived behind a piece of WAL, so that a consumer syncs once for many small pieces. */
  #gather(start: WalItem): WalItem {
    const pieces = [start.data]
    let sizeBytes = start.data.length
    let newest = start
    for (;;) {
      const waiting = this.#channel.peek()
      if (waiting?.kind !== 'copy-data' || sizeBytes + waiting.data.length > batchBytes) break
      const message = decodeStreamMessage(waiting.data)
      if (message.kind !== 'wal' || message.startLsn !== start.startLsn + BigInt(sizeBytes)) break
      this.#channel.drop()
      pieces.push(message.data)
      sizeBytes += message.data.length
      newest = message
    }
    if (pieces.length === 1) return start
    return { ...newest, startLsn: start.startLsn, data: Buffer.concat(pieces) }
  }

  /** Ends the copy in order, so that the connection can be used for something else. */
  async #finish(): Promise<void> {
    this.stop()
    while (!this.#ended && !this.#channel.closed) await this.#step()
    this.#end()
  }

  #end(): void {
    this.#ended = true
    clearInterval(this.#ticker)
  }
}

/** A stream that was over when it began. */
function endedWalStream(lastItem: WalStreamItem | undefined): WalStream {
  async function* items(): AsyncGenerator<WalStreamItem, void, undefined> {
    if (lastItem !== undefined) yield lastItem
  }
  const iterator = items()
  return {
    sendFeedback: () => {},
    stop: () => {},
    [Symbol.asyncIterator]: () => iterator,
    [Symbol.asyncDispose]: async () => {},
  }
}

/** After both sides ended the copy: a row with the next timeline if the server's history leaves this one, then ready. */
async function readEnd(
  channel: MessageChannel,
  command: CommandOptions,
  columns?: readonly string[],
): Promise<WalStreamItem | undefined> {
  const rows = await readRows(channel, command, columns)
  await readReady(channel, command)
  const row = rows[0]
  if (row === undefined) return undefined
  return {
    kind: 'timeline-end',
    nextTimeline: timelineOf(row, 'next_tli'),
    switchLsn: lsnOf(row, 'next_tli_startpos'),
  }
}
