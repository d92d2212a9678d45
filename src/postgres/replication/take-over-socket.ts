import type { Socket } from 'node:net'
import type { Client } from 'pg'
import { Fault } from '../../std/fault.ts'
import { replicationFaults } from './faults.ts'

/** The socket of an authenticated connection, and what a cancel request needs to name its server process. */
export interface TakenSocket {
  readonly socket: Socket
  readonly processId: number
  readonly secretKey: number
}

/**
 * Takes the socket from a connected `pg` client, which did what is hard to get right (SCRAM, TLS) and is of no use
 * afterwards: it copies every byte of a stream and knows no back-pressure. It must be called in the same turn in which the
 * client became ready, since the server says nothing then until it is asked. All that is private to `pg` is looked at
 * here and only here: one `data` listener, which is its parser. Anything else means that `pg` has changed.
 */
export function takeOverSocket(client: Client): TakenSocket {
  const { connection, processID, secretKey } = client as Client & PrivateParts
  const socket = connection?.stream
  const listeners = socket?.listeners('data') ?? []
  const parser = listeners[0]
  if (socket === undefined || listeners.length !== 1 || parser === undefined || socket.readableLength !== 0) {
    throw new Fault(
      replicationFaults['postgres-client-changed'],
      `Cannot take over the connection of pg: expected one listener and no waiting bytes, found ${listeners.length} and ${socket?.readableLength}`,
    )
  }
  if (typeof processID !== 'number' || typeof secretKey !== 'number') {
    throw new Fault(
      replicationFaults['postgres-client-changed'],
      'Cannot take over the connection of pg: no backend key',
    )
  }
  socket.removeListener('data', parser as (chunk: Buffer) => void)
  // The client still hears the socket's end and errors and tells them again; whoever reads now hears them first hand.
  client.on('error', () => {})
  return { socket, processId: processID, secretKey }
}

interface PrivateParts {
  readonly connection?: { readonly stream?: Socket }
  readonly processID?: unknown
  readonly secretKey?: unknown
}
