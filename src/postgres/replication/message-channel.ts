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

export function openMessageChannel(
  socket: Socket,
  options: { readonly peer: string; readonly signal?: AbortSignal | undefined },
): MessageChannel {
  const { peer, signal } = options
  const parser = createMessageParser({ maxMessageBytes })
  const queue: { readonly message: BackendMessage; readonly sizeBytes: number }[] = []
  const notices: ServerReport[] = []
  let head = 0
  let queuedBytes = 0
  let paused = false
  let ready = true
  let end: unknown
  let waiter: Waiter | undefined

  socket.on('data', (chunk: Buffer) => {
    if (end !== undefined) return
    waiter?.timer.refresh()
    try {
      for (const raw of parser.push(chunk)) accept(decodeBackendMessage(raw), raw.body.length)
    } catch (error) {
      destroy(protocolFault(`understand what ${peer} sends`, error))
    }
    if (queuedBytes >= pauseAtBytes && !paused) {
      paused = true
      socket.pause()
    }
  })
  socket.on('error', (error) => finish(lost(peer, error.message, error)))
  socket.on('end', () => finish(lost(peer, 'the server closed it')))
  socket.on('close', () => finish(lost(peer, 'it was closed')))
  const onAbort = (): void => destroy(signal?.reason)
  signal?.addEventListener('abort', onAbort, { once: true })
  if (signal?.aborted === true) onAbort()

  function accept(message: BackendMessage, sizeBytes: number): void {
    if (message.kind === 'aside') return
    if (message.kind === 'notice') {
      notices.push(message.report)
      if (notices.length > maxNotices) notices.shift()
      return
    }
    if (waiter === undefined) {
      queue.push({ message, sizeBytes })
      queuedBytes += sizeBytes
      return
    }
    const { resolve, timer } = waiter
    waiter = undefined
    clearTimeout(timer)
    ready = message.kind === 'ready'
    resolve(message)
  }

  function finish(reason: unknown): void {
    if (end !== undefined) return
    end = reason
    signal?.removeEventListener('abort', onAbort)
    if (waiter === undefined) return
    clearTimeout(waiter.timer)
    waiter.reject(reason)
    waiter = undefined
  }

  function destroy(reason: unknown): void {
    queue.length = 0
    head = 0
    queuedBytes = 0
    finish(reason)
    socket.destroy()
  }

  function take(): BackendMessage | undefined {
    const entry = queue[head]
    if (entry === undefined) return undefined
    head += 1
    queuedBytes -= entry.sizeBytes
    if (head === queue.length || head === compactAtEntries) {
      queue.splice(0, head)
      head = 0
    }
    if (paused && queuedBytes <= resumeAtBytes) {
      paused = false
      socket.resume()
    }
    ready = entry.message.kind === 'ready'
    return entry.message
  }

  function next(timeoutMs: number): Promise<BackendMessage> {
    const message = take()
    if (message !== undefined) return Promise.resolve(message)
    if (end !== undefined) return Promise.reject(end)
    assert(waiter === undefined, 'only one reader may wait for a message')
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        destroy(new Fault(stdFaults['deadline-passed'], `Cannot read from ${peer}: not a byte came in ${timeoutMs} ms`))
      }, timeoutMs)
      waiter = { resolve, reject, timer }
    })
  }

  function write(bytes: Uint8Array): void {
    if (end !== undefined) throw end
    socket.write(bytes)
  }

  async function close(): Promise<void> {
    if (!socket.destroyed) {
      const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()))
      finish(lost(peer, 'we closed it'))
      socket.resume()
      socket.end(encodeTerminate())
      const timer = setTimeout(() => socket.destroy(), closeWithinMs)
      await closed
      clearTimeout(timer)
    }
  }

  return {
    peer,
    notices,
    next,
    peek: () => queue[head]?.message,
    drop: () => {
      take()
    },
    command: (bytes) => {
      assert(ready || end !== undefined, 'a replication connection does one thing at a time')
      write(bytes)
      ready = false
      notices.length = 0
    },
    write,
    get paused() {
      return paused
    },
    get closed() {
      return end !== undefined
    },
    destroy,
    close,
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
