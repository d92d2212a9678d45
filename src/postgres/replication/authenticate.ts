import type { Socket } from 'node:net'
import type { ConnectionOptions } from 'node:tls'
import { Client, DatabaseError, type Connection } from 'pg'
import { Fault } from '../../std/fault.ts'
import { describeTarget, type ConnectionTarget } from '../connection-target.ts'
import { postgresFaults } from '../faults.ts'
import { replicationFaults } from './faults.ts'
import { takeOverSocket, type TakenSocket } from './take-over-socket.ts'

/**
 * Connects as a physical replication client and proves who we are: SCRAM-SHA-256 only, so that no server, real or not,
 * gets the password itself. Gives the bare socket.
 */
export async function authenticate(
  target: ConnectionTarget,
  options: { readonly timeoutMs: number; readonly signal?: AbortSignal | undefined },
): Promise<TakenSocket> {
  options.signal?.throwIfAborted()
  let exposed = false
  const config = {
    host: target.host,
    port: target.port,
    user: target.user,
    database: target.database,
    password: () => {
      if (exposed) throw new Error('the server asks for a password without SCRAM')
      return target.password.reveal()
    },
    replication: 'true',
    application_name: target.applicationName ?? 'holdfast',
    ssl: tlsOptions(target),
    connectionTimeoutMillis: options.timeoutMs,
    keepAlive: true,
    keepAliveInitialDelayMillis: 10_000,
    // Given, so that pg does not take them from the environment.
    sslnegotiation: 'postgres' as const,
    client_encoding: 'UTF8',
    options: '-c client_min_messages=warning',
  }
  const client = new Client(config)
  const { connection } = client as Client & { connection: Connection & { stream: Socket } }
  for (const request of ['authenticationCleartextPassword', 'authenticationMD5Password']) {
    connection.prependListener(request, () => {
      exposed = true
    })
  }
  const abandon = (): void => {
    connection.stream.destroy()
  }
  options.signal?.addEventListener('abort', abandon, { once: true })
  try {
    await client.connect()
    return takeOverSocket(client)
  } catch (error) {
    abandon()
    options.signal?.throwIfAborted()
    throw exposed ? exposedFault(target) : connectFault(error, target)
  } finally {
    options.signal?.removeEventListener('abort', abandon)
  }
}

/** A unix socket is never encrypted: the server does not offer it there. */
function tlsOptions(target: ConnectionTarget): ConnectionOptions | false {
  const { tls, host } = target
  if (tls === undefined || host.startsWith('/')) return false
  if (tls.mode === 'require') return { rejectUnauthorized: false }
  return { rejectUnauthorized: true, ca: tls.authority }
}

function exposedFault(target: ConnectionTarget): Fault {
  return new Fault(
    replicationFaults['postgres-password-exposed'],
    `Cannot connect to ${describeTarget(target)} as ${target.user}: the server asks for the password without SCRAM`,
  )
}

/** The codes of OpenSSL's certificate checks and of Node's TLS. */
const tlsErrors = /CERT|TLS|SSL|^UNABLE_TO_|^HOSTNAME_MISMATCH$|^INVALID_CA$|^EPROTO$/

/** Says in the operator's words why a connection did not come about. */
function connectFault(error: unknown, target: ConnectionTarget): unknown {
  if (error instanceof Fault || !(error instanceof Error)) return error
  const code = 'code' in error && typeof error.code === 'string' ? error.code : ''
  const message = `Cannot connect to ${describeTarget(target)} as ${target.user}: ${error.message || code}`
  const sqlState = error instanceof DatabaseError ? code : null
  const details = { host: target.host, port: target.port, user: target.user, sqlState }
  if (code.startsWith('28') || error.message.startsWith('SASL')) {
    return new Fault(postgresFaults['postgres-authentication-failed'], message, { details, cause: error })
  }
  if (!(error instanceof DatabaseError) && (tlsErrors.test(code) || error.message.includes('SSL'))) {
    return new Fault(postgresFaults['postgres-tls-failed'], message, { details, cause: error })
  }
  return new Fault(postgresFaults['postgres-unreachable'], message, { details, cause: error })
}
