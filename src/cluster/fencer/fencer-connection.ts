import { once } from 'node:events'
import type { Socket } from 'node:net'
import { connect } from 'node:net'
import { Fault } from '../../std/fault.ts'
import { createLineSplitter } from './core/line-splitter.ts'
import type { FencerCommand, FencerEvent, FencerMessage, FencerReply, FencerState } from './core/protocol.ts'
import { protocolVersion } from './core/protocol.ts'
import { fencerFaults } from './faults.ts'

/** One conversation with a fencer: commands and their answers, and the events in between. */
export interface FencerConnection {
  readonly fencerPid: number
  /** Last known. */
  readonly state: FencerState
  /** Resolves when the conversation is over, whoever ended it. */
  readonly closed: Promise<void>
  /**
   * Gives back the result; rejects with the fencer's refusal or with `fencer-unreachable`. A fencer that does not answer
   * in time would not act in time either, so the conversation is ended then.
   */
  ask(command: FencerCommand, deadlineMs: number): Promise<unknown>
  onEvent(listener: (event: FencerEvent) => void): Disposable
  close(): void
}

/** A fencer that does not greet for as long as a lease lasts is no guard any more. */
const helloMs = 5000
const graceMs = 200

interface PendingAnswer {
  readonly resolve: (result: unknown) => void
  readonly reject: (fault: Fault) => void
}

/** Undefined when nobody listens at this path. */
export async function openFencerConnection(
  socketPath: string,
  signal: AbortSignal | undefined,
): Promise<FencerConnection | undefined> {
  signal?.throwIfAborted()
  const socket = connect(socketPath)
  try {
    await once(socket, 'connect', { signal })
  } catch (error) {
    socket.destroy()
    if (error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'ECONNREFUSED')) {
      return undefined
    }
    throw error
  }
  return await converse(socket, socketPath)
}

function converse(socket: Socket, socketPath: string): Promise<FencerConnection> {
  const pending = new Map<number, PendingAnswer>()
  const listeners = new Set<(event: FencerEvent) => void>()
  const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()))
  const hello = Promise.withResolvers<FencerConnection>()
  const unreachable = (why: string): Fault =>
    new Fault(fencerFaults['fencer-unreachable'], `Cannot reach the fencer at ${socketPath}: ${why}`)
  const clearHelloAlarm = setAlarm(helloMs, () => fail(unreachable(`no answer within ${helloMs} ms`)))
  let state: FencerState | undefined
  let lastId = 0

  function fail(fault: Fault): void {
    clearHelloAlarm()
    hello.reject(fault)
    for (const answer of pending.values()) answer.reject(fault)
    pending.clear()
    socket.destroy()
  }

  function receive(message: FencerMessage): void {
    state = message.state
    if ('hello' in message) {
      if (message.hello === protocolVersion) hello.resolve(connection(message.pid))
      else fail(versionFault(message.hello, socketPath))
      clearHelloAlarm()
    } else if ('event' in message) {
      for (const listener of listeners) listener(message.event)
    } else settle(message)
  }

  function settle(reply: FencerReply): void {
    const answer = pending.get(reply.id)
    pending.delete(reply.id)
    if ('refused' in reply) answer?.reject(refusal(reply))
    else answer?.resolve(reply.result)
  }

  function ask(command: FencerCommand, deadlineMs: number): Promise<unknown> {
    if (socket.destroyed) return Promise.reject(unreachable('its connection has ended'))
    const id = (lastId += 1)
    return new Promise((resolve, reject) => {
      const clearAlarm = setAlarm(deadlineMs, () =>
        fail(unreachable(`no answer to ${command.command} within ${deadlineMs} ms`)),
      )
      const settled =
        <Value>(settler: (value: Value) => void) =>
        (value: Value): void => {
          clearAlarm()
          settler(value)
        }
      pending.set(id, { resolve: settled(resolve), reject: settled(reject) })
      socket.write(`${JSON.stringify({ id, ...command })}\n`)
    })
  }

  function connection(fencerPid: number): FencerConnection {
    return {
      fencerPid,
      get state() {
        return state as FencerState
      },
      closed,
      ask,
      onEvent: (listener) => {
        listeners.add(listener)
        return { [Symbol.dispose]: () => void listeners.delete(listener) }
      },
      close: () => socket.destroy(),
    }
  }

  const split = createLineSplitter()
  socket.setEncoding('utf8')
  socket.on('error', () => socket.destroy())
  socket.on('data', (piece: string) => {
    for (const line of split(piece)) receive(JSON.parse(line) as FencerMessage)
  })
  socket.once('close', () => fail(unreachable('its connection has ended')))
  return hello.promise
}

/**
 * Calls `act` after `ms` and a little more, unless the function given back is called. The little more is for an agent that
 * was itself frozen: it finds the time over before it has read the answer that lies in its socket.
 */
function setAlarm(ms: number, act: () => void): () => void {
  let timer = setTimeout(() => (timer = setTimeout(act, graceMs)), ms)
  return () => clearTimeout(timer)
}

function refusal(reply: Extract<FencerReply, { refused: string }>): Fault {
  const kind = Object.values(fencerFaults).find(({ code }) => code === reply.refused)
  return new Fault(kind ?? fencerFaults['fencer-unreachable'], reply.message)
}

function versionFault(theirs: number, socketPath: string): Fault {
  return new Fault(
    fencerFaults['fencer-version'],
    `Cannot use the fencer at ${socketPath}: it speaks version ${theirs} of the protocol, not ${protocolVersion}`,
  )
}
