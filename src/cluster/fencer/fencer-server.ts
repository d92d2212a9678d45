import type { Server, Socket } from 'node:net'
import { createServer } from 'node:net'
import { once } from 'node:events'
import { Fault } from '../../std/fault.ts'
import { createLineSplitter, longestLineChars } from './core/line-splitter.ts'
import type { FencerCommand, FencerEvent, FencerMessage, FencerRequest, PostgresStop } from './core/protocol.ts'
import { protocolVersion } from './core/protocol.ts'
import type { PostgresGuardOptions } from './postgres-guard.ts'
import { PostgresGuard } from './postgres-guard.ts'

/** How long agents have to read the last messages of a fencer that ends. */
const lastWordsMs = 1000

export interface FencerServerOptions extends Omit<PostgresGuardOptions, 'onEvent'> {
  readonly socketPath: string
  /** With neither an agent nor a server for this long, there is nothing left to guard and the fencer ends. */
  readonly idleExitMs: number
  /** Called once, when the fencer has nothing more to do. */
  readonly onEnd: () => void
}

export interface FencerServer {
  /** Stops PostgreSQL, then ends. */
  shutdown(how: PostgresStop): void
  /** Kills PostgreSQL now and waits for nothing. */
  killNow(): void
}

/**
 * Listens on the node's socket and does what agents say. Sends every event to each of them. It keeps no log: an agent
 * that does not read cannot hold it up, as its connection is dropped once a megabyte waits in memory.
 */
export async function startFencerServer(options: FencerServerOptions): Promise<FencerServer> {
  const agents = new Set<Socket>()
  const guard = new PostgresGuard({ ...options, onEvent: broadcast })
  const server = createServer((socket) => {
    agents.add(socket)
    serve(socket)
    socket.once('close', () => {
      agents.delete(socket)
      watchIdleness()
    })
  })
  let ending = false
  let ended = false
  let idleTimer: NodeJS.Timeout | undefined
  // Starting and stopping happen one after the other; arming never waits for them.
  let serverCommands: Promise<unknown> = Promise.resolve()

  function broadcast(event: FencerEvent): void {
    for (const agent of agents) send(agent, { event, state: guard.state })
    if (event.type !== 'exited') return
    if (ending) end()
    else watchIdleness()
  }

  function serve(socket: Socket): void {
    const split = createLineSplitter()
    socket.setEncoding('utf8')
    socket.on('error', () => socket.destroy())
    socket.on('data', (piece: string) => {
      try {
        for (const line of split(piece)) void answer(socket, parseRequest(line))
      } catch {
        // Not an agent, or one gone mad: it is cut off and may attach again. What is armed stays armed.
        socket.destroy()
      }
    })
    send(socket, { hello: protocolVersion, pid: process.pid, state: guard.state })
  }

  async function answer(socket: Socket, request: FencerRequest): Promise<void> {
    const { id } = request
    try {
      const result = await carryOut(request)
      send(socket, { id, result, state: guard.state })
    } catch (error) {
      const refused = error instanceof Fault ? error.code : 'unknown'
      const message = error instanceof Error ? error.message : String(error)
      send(socket, { id, refused, message, state: guard.state })
    }
    if (ending && !guard.active) end()
  }

  function carryOut(command: FencerCommand): unknown {
    switch (command.command) {
      case 'start':
        return inTurn(() => guard.start(command))
      case 'stop':
        return inTurn(() => guard.stop(command))
      case 'shutdown':
        return shutdown(command)
      case 'arm':
        return guard.arm(command)
      case 'disarm':
        return guard.disarm()
      case 'status':
        return guard.tick()
      default:
        return command satisfies never
    }
  }

  function inTurn<Result>(work: () => Result): Promise<Awaited<Result>> {
    const turn = serverCommands.then(work)
    serverCommands = turn.catch(() => undefined)
    return turn as Promise<Awaited<Result>>
  }

  function shutdown(how: PostgresStop): Promise<void> {
    return inTurn(() => {
      ending = true
      guard.stop(how)
    })
  }

  function end(): void {
    if (ended) return
    ended = true
    server.close(() => options.onEnd())
    for (const agent of agents) agent.end(() => agent.destroy())
    // An agent that does not read is not waited for.
    setTimeout(() => options.onEnd(), lastWordsMs)
  }

  function watchIdleness(): void {
    clearTimeout(idleTimer)
    if (agents.size > 0 || guard.active) return
    idleTimer = setTimeout(() => {
      if (agents.size === 0 && !guard.active) end()
    }, options.idleExitMs)
  }

  await listen(server, options.socketPath)
  watchIdleness()
  return {
    shutdown: (how) => {
      void shutdown(how).then(() => {
        if (!guard.active) end()
      })
    },
    killNow: () => guard.killNow(),
  }
}

async function listen(server: Server, socketPath: string): Promise<void> {
  // The socket exists from `bind` on, so its mode must be right from the beginning.
  const umask = process.umask(0o177)
  server.listen(socketPath)
  process.umask(umask)
  await once(server, 'listening')
}

function send(socket: Socket, message: FencerMessage): void {
  if (socket.destroyed) return
  if (socket.writableLength > longestLineChars) socket.destroy()
  else socket.write(`${JSON.stringify(message)}\n`)
}

function parseRequest(line: string): FencerRequest {
  const request: unknown = JSON.parse(line)
  if (typeof request !== 'object' || request === null || !('id' in request) || !('command' in request)) {
    throw new TypeError('not a request')
  }
  // Whoever can write to this socket has our rights, so the shape below is trusted.
  return request as FencerRequest
}
