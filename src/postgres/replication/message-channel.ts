import assert from 'node:assert/strict'
import type { Socket } from 'node:net'
import { Fault } from '../../std/fault.ts'
import { stdFaults } from '../../std/faults.ts'
import { postgresFaults } from '../faults.ts'
import { decodeBackendMessage, type BackendMessage, type ServerReport } from './core/backend-message.ts'
import { encodeTerminate } from './core/frontend-message.ts'
import { createMessageParser } from './core/message-parser.ts'
import { replicationFaults } from './faults.ts'

/** A conversation with a server in messages, read only as fast as they are taken. */
export interface MessageChannel {
  /** How the peer is named in faults. */
  readonly peer: string
  /** Warnings of the server since the command was given; the newest of them when many. */
  readonly notices: ServerReport[]
  /**
   * The next message. Rejects when the connection has ended, when the signal aborts, or when not a single byte came for
   * `timeoutMs`.
   */
  next(timeoutMs: number): Promise<BackendMessage>
  /** The next message if it is already here; it stays the next one. */
  peek(): BackendMessage | undefined
  /** Takes the message that {@link MessageChannel.peek} gave. */
  drop(): void
  /** Gives a command. The server must be ready: the one before has been read up to its `ready`. */
  command(bytes: Uint8Array): void
  write(bytes: Uint8Array): void
  /** True while the socket is not read because what came has not been taken yet. */
  readonly paused: boolean
  readonly closed: boolean
  /** Ends the conversation at once, without a word to the server. */
  destroy(reason: unknown): void
  /** Says goodbye and waits until the socket is closed, at most two seconds. */
  close(): Promise<void>
}

const maxMessageBytes = 64 * 1024 * 1024
const pauseAtBytes = 1024 * 1024
const resumeAtBytes = 256 * 1024
const maxNotices = 20
const compactAtEntries = 1024
const closeWithinMs = 2000

interface Waiter {
  readonly resolve: (message: BackendMessage) => void
  readonly reject: (error: unknown) => void
  readonly timer: NodeJS.Timeout
}

interface QueuedMessage {
  readonly message: BackendMessage
  readonly sizeBytes: number
}

export function openMessageChannel(
  socket: Socket,
  options: { readonly peer: string; readonly signal?: AbortSignal | undefined },
): MessageChannel {
  return new SocketChannel(socket, options.peer, options.signal)
}

class SocketChannel implements MessageChannel {
  readonly peer: string
  readonly notices: ServerReport[] = []
  readonly #socket: Socket
  readonly #signal: AbortSignal | undefined
  readonly #parser = createMessageParser({ maxMessageBytes })
  readonly #queue: QueuedMessage[] = []
  #head = 0
  #queuedBytes = 0
  #paused = false
  #ready = true
  #end: { readonly reason: unknown } | undefined
  #waiter: Waiter | undefined

  constructor(socket: Socket, peer: string, signal: AbortSignal | undefined) {
    this.peer = peer
    this.#socket = socket
    this.#signal = signal
    socket.on('data', (chunk: Buffer) => this.#receive(chunk))
    socket.on('error', (error) => this.#finish(lost(peer, error.message, error)))
    socket.on('end', () => this.#finish(lost(peer, 'the server closed it')))
    socket.on('close', () => this.#finish(lost(peer, 'it was closed')))
    signal?.addEventListener('abort', this.#abort, { once: true })
    if (signal?.aborted === true) this.#abort()
  }

  get paused(): boolean {
    return this.#paused
  }

  get closed(): boolean {
    return this.#end !== undefined
  }

  next(timeoutMs: number): Promise<BackendMessage> {
    const message = this.#take()
    if (message !== undefined) return Promise.resolve(message)
    if (this.#end !== undefined) return Promise.reject(this.#end.reason)
    assert(this.#waiter === undefined, 'only one reader may wait for a message')
    return new Promise((resolve, reject) => {
      const passed = `Cannot read from ${this.peer}: not a byte came in ${timeoutMs} ms`
      const timer = setTimeout(() => this.destroy(new Fault(stdFaults['deadline-passed'], passed)), timeoutMs)
      this.#waiter = { resolve, reject, timer }
    })
  }

  peek(): BackendMessage | undefined {
    return this.#queue[this.#head]?.message
  }

  drop(): void {
    this.#take()
  }

  command(bytes: Uint8Array): void {
    assert(this.#ready || this.closed, 'a replication connection does one thing at a time')
    this.write(bytes)
    this.#ready = false
    this.notices.length = 0
  }

  write(bytes: Uint8Array): void {
    if (this.#end !== undefined) throw this.#end.reason
    this.#socket.write(bytes)
  }

  destroy(reason: unknown): void {
    this.#queue.length = 0
    this.#head = 0
    this.#queuedBytes = 0
    this.#finish(reason)
    this.#socket.destroy()
  }

  async close(): Promise<void> {
    if (this.#socket.destroyed) return
    const closed = new Promise<void>((resolve) => this.#socket.once('close', () => resolve()))
    this.#finish(lost(this.peer, 'we closed it'))
    this.#socket.resume()
    this.#socket.end(encodeTerminate())
    const timer = setTimeout(() => this.#socket.destroy(), closeWithinMs)
    await closed
    clearTimeout(timer)
  }

  readonly #abort = (): void => this.destroy(this.#signal?.reason)

  #receive(chunk: Buffer): void {
    if (this.closed) return
    this.#waiter?.timer.refresh()
    try {
      for (const raw of this.#parser.push(chunk)) this.#accept(decodeBackendMessage(raw), raw.body.length)
    } catch (error) {
      this.destroy(protocolFault(`understand what ${this.peer} sends`, error))
    }
    if (this.#queuedBytes < pauseAtBytes || this.#paused) return
    this.#paused = true
    this.#socket.pause()
  }

  #accept(message: BackendMessage, sizeBytes: number): void {
    if (message.kind === 'aside') return
    if (message.kind === 'notice') {
      this.notices.push(message.report)
      if (this.notices.length > maxNotices) this.notices.shift()
      return
    }
    const waiter = this.#waiter
    if (waiter === undefined) {
      this.#queue.push({ message, sizeBytes })
      this.#queuedBytes += sizeBytes
      return
    }
    this.#waiter = undefined
    clearTimeout(waiter.timer)
    this.#ready = message.kind === 'ready'
    waiter.resolve(message)
  }

  #take(): BackendMessage | undefined {
    const entry = this.#queue[this.#head]
    if (entry === undefined) return undefined
    this.#head += 1
    this.#queuedBytes -= entry.sizeBytes
    if (this.#head === this.#queue.length || this.#head === compactAtEntries) {
      this.#queue.splice(0, this.#head)
      this.#head = 0
    }
    if (this.#paused && this.#queuedBytes <= resumeAtBytes) {
      this.#paused = false
      this.#socket.resume()
    }
    this.#ready = entry.message.kind === 'ready'
    return entry.message
  }

  #finish(reason: unknown): void {
    if (this.#end !== undefined) return
    this.#end = { reason }
    this.#signal?.removeEventListener('abort', this.#abort)
    if (this.#waiter === undefined) return
    clearTimeout(this.#waiter.timer)
    this.#waiter.reject(reason)
    this.#waiter = undefined
  }
}

/** The fault for a connection that is over. */
export function lost(peer: string, why: string, cause?: unknown): Fault {
  return new Fault(
    postgresFaults['postgres-connection-lost'],
    `Cannot go on with the replication connection to ${peer}: ${why}`,
    cause === undefined ? {} : { cause },
  )
}

/** The fault for something that does not follow the protocol. */
export function protocolFault(doing: string, cause: unknown): Fault {
  const why = cause instanceof Error ? cause.message : String(cause)
  return new Fault(replicationFaults['postgres-protocol-violated'], `Cannot ${doing}: ${why}`, { cause })
}
