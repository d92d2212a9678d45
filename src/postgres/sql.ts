import { Socket } from 'node:net'
import { Client, DatabaseError } from 'pg'
import type { ClientConfig } from 'pg'
import { Fault, isFault } from '../std/fault.ts'
import { stdFaults } from '../std/faults.ts'
import { describeTarget } from './connection-target.ts'
import type { ConnectionTarget } from './connection-target.ts'
import { postgresFaults } from './faults.ts'

export interface SqlOptions {
  /** Aborting it closes the connection at once, in the middle of a statement too. */
  readonly signal?: AbortSignal | undefined
  readonly connectTimeoutMs?: number | undefined
  /** Limit for each statement; the server enforces it, and a little later so do we, for a server that hangs. */
  readonly statementTimeoutMs?: number | undefined
  readonly applicationName?: string | undefined
}

export type SqlRow = Readonly<Record<string, unknown>>

/** One connection. `int8` and `numeric` come as text, `timestamptz` as Date, the rest as `pg` has it. */
export interface Sql extends AsyncDisposable {
  /** The server process that serves this connection. */
  readonly backendPid: number
  query<Row extends SqlRow = SqlRow>(text: string, values?: readonly unknown[]): Promise<readonly Row[]>
  close(): Promise<void>
}

const defaultConnectTimeoutMs = 5000

/** Opens a connection, or fails with the fault that says what stands in the way. */
export async function openSql(target: ConnectionTarget, options: SqlOptions = {}): Promise<Sql> {
  options.signal?.throwIfAborted()
  const socket = new Socket()
  const client = new Client({
    host: target.host,
    port: target.port,
    user: target.user,
    password: target.password.reveal(),
    database: target.database,
    application_name: options.applicationName ?? target.applicationName ?? 'holdfast',
    connectionTimeoutMillis: options.connectTimeoutMs ?? defaultConnectTimeoutMs,
    stream: () => socket,
    // Given always, because `pg` would otherwise take PGOPTIONS from the environment.
    options: '-c standard_conforming_strings=on',
    ssl: tlsConfiguration(target),
    ...(options.statementTimeoutMs === undefined
      ? {}
      : { statement_timeout: options.statementTimeoutMs, query_timeout: options.statementTimeoutMs + 1000 }),
  })
  // Without a listener an error of an idle connection would end the process; the next query reports it.
  client.on('error', () => undefined)
  const abort = (): void => void socket.destroy()
  options.signal?.addEventListener('abort', abort, { once: true })
  const finish = async (): Promise<void> => {
    options.signal?.removeEventListener('abort', abort)
    await client.end().catch(() => undefined)
    socket.destroy()
  }
  try {
    await client.connect()
  } catch (error) {
    await finish()
    options.signal?.throwIfAborted()
    throw connectFault(target, error)
  }
  return {
    backendPid: backendPid(client),
    query: async <Row extends SqlRow>(text: string, values: readonly unknown[] = []) => {
      try {
        const result = await client.query<Row>(text, [...values])
        return result.rows
      } catch (error) {
        options.signal?.throwIfAborted()
        throw queryFault(target, error)
      }
    },
    close: finish,
    [Symbol.asyncDispose]: finish,
  }
}

/** Opens a connection for the time of `work`. */
export async function withSql<Result>(
  target: ConnectionTarget,
  options: SqlOptions,
  work: (sql: Sql) => Promise<Result>,
): Promise<Result> {
  await using sql = await openSql(target, options)
  return await work(sql)
}

/** The SQLSTATE that a statement failed with; undefined when it did not fail in the server. */
export function sqlState(error: unknown): string | undefined {
  if (!isFault(error)) return undefined
  const state = error.details['sqlState']
  return typeof state === 'string' ? state : undefined
}

function tlsConfiguration(target: ConnectionTarget): ClientConfig['ssl'] {
  if (target.tls === undefined) return false
  return {
    // Without a name of its own Node would compare the certificate with `localhost` when the host is an address.
    host: target.host,
    rejectUnauthorized: target.tls.mode === 'verify-full',
    ...(target.tls.authority === undefined ? {} : { ca: target.tls.authority }),
    ...(target.tls.mode === 'verify-full' ? {} : { checkServerIdentity: () => undefined }),
  }
}

function backendPid(client: Client): number {
  const { processID } = client as Client & { readonly processID?: number | null }
  return processID ?? 0
}

function connectFault(target: ConnectionTarget, error: unknown): Fault {
  const where = describeTarget(target)
  const message = error instanceof Error ? error.message || error.name : String(error)
  const state = error instanceof DatabaseError ? error.code : undefined
  const details = { host: target.host, port: target.port, user: target.user, sqlState: state ?? null }
  const refused = state?.startsWith('28') === true || state === '3D000' || message.includes('SASL')
  const kind = refused
    ? 'postgres-authentication-failed'
    : target.tls !== undefined && isTlsError(error, message)
      ? 'postgres-tls-failed'
      : 'postgres-unreachable'
  return new Fault(postgresFaults[kind], `Cannot connect to PostgreSQL at ${where}: ${message}`, {
    details,
    cause: error,
    ...(state === '53300' ? { hint: 'All connections of the server are taken; raise max_connections.' } : {}),
  })
}

function isTlsError(error: unknown, message: string): boolean {
  const { code } = error as NodeJS.ErrnoException
  return /CERT|SIGNATURE|^ERR_(TLS|SSL)|^EPROTO$/.test(code ?? '') || message.includes('does not support SSL')
}

function queryFault(target: ConnectionTarget, error: unknown): Fault {
  const where = describeTarget(target)
  if (error instanceof DatabaseError) {
    // Class 57P: the server ends our connection because it stops, crashed, or recovers.
    const kind = error.code?.startsWith('57P') === true ? 'postgres-connection-lost' : 'postgres-query-failed'
    return new Fault(postgresFaults[kind], `Cannot run a statement at ${where}: ${error.message}`, {
      details: { host: target.host, port: target.port, sqlState: error.code ?? null },
      cause: error,
    })
  }
  const message = error instanceof Error ? error.message : String(error)
  if (message === 'Query read timeout') {
    return new Fault(stdFaults['deadline-passed'], `Cannot run a statement at ${where}: the server does not answer`, {
      details: { host: target.host, port: target.port },
      cause: error,
    })
  }
  return new Fault(postgresFaults['postgres-connection-lost'], `Cannot run a statement at ${where}: ${message}`, {
    details: { host: target.host, port: target.port },
    cause: error,
  })
}
