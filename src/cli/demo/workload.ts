import type { ConnectionTarget } from '../../postgres/connection-target.ts'
import { openReadWriteSql } from '../../postgres/read-write-connection.ts'
import { sqlState, type Sql } from '../../postgres/sql.ts'
import type { Clock } from '../../std/clock.ts'
import { createLedger, type Ledger, type RowId } from './ledger.ts'

/**
 * Writers that insert rows one by one through a multi-host connection, as an application does, and note in a ledger what
 * the database told them.
 */
export interface Workload extends AsyncDisposable {
  readonly ledger: Ledger
  /** Stops the writers and waits until each knows the outcome of its last row. */
  stop(): Promise<void>
}

export interface WorkloadOptions {
  readonly targets: readonly ConnectionTarget[]
  readonly writers: number
  /** Wait between two rows of one writer. */
  readonly pauseMs: number
  readonly clock: Clock
}

export const workloadTable = 'holdfast_demo'

export async function createWorkloadTable(sql: Sql): Promise<void> {
  await sql.query(
    `create table if not exists ${workloadTable} (writer int, seq int, payload text not null, at timestamptz not null default clock_timestamp(), primary key (writer, seq))`,
  )
}

export async function readWorkloadRows(sql: Sql): Promise<RowId[]> {
  const rows = await sql.query<{ writer: number; seq: number }>(`select writer, seq from ${workloadTable}`)
  return rows.map((row): RowId => `${row.writer}:${row.seq}`)
}

export function startWorkload(options: WorkloadOptions): Workload {
  const ledger = createLedger()
  const stopping = new AbortController()
  const writers = Array.from({ length: options.writers }, (_, writer) =>
    write(writer, ledger, stopping.signal, options),
  )
  const stop = async (): Promise<void> => {
    stopping.abort()
    await Promise.all(writers)
  }
  return { ledger, stop, [Symbol.asyncDispose]: stop }
}

/** One writer: connects, inserts until the connection breaks, connects again. A row is never sent twice. */
async function write(writer: number, ledger: Ledger, signal: AbortSignal, options: WorkloadOptions): Promise<void> {
  let seq = 0
  while (!signal.aborted) {
    let sql: Sql
    try {
      sql = await openReadWriteSql(options.targets, { connectTimeoutMs: 1000, statementTimeoutMs: 15_000 })
    } catch {
      ledger.reject()
      await pause(options, 20)
      continue
    }
    const connectedAt = options.clock.monotonic()
    try {
      while (!signal.aborted) {
        seq += 1
        const row: RowId = `${writer}:${seq}`
        ledger.send(row)
        const outcome = await insert(sql, [writer, seq])
        if (outcome === 'acknowledged') ledger.acknowledge(row, { connectedAt, at: options.clock.monotonic() })
        else if (outcome === 'refused') ledger.reject()
        else ledger.leaveUnknown(row)
        if (outcome !== 'acknowledged') break
        await pause(options, options.pauseMs)
      }
    } finally {
      await sql.close()
    }
  }
}

/** What the server said of a row; `unknown` when the connection broke before it said anything. */
async function insert(sql: Sql, values: [number, number]): Promise<'acknowledged' | 'refused' | 'unknown'> {
  try {
    await sql.query(
      `insert into ${workloadTable} (writer, seq, payload) values ($1, $2::int, repeat(md5(($2::int)::text), 8))`,
      values,
    )
    return 'acknowledged'
  } catch (error) {
    // Read-only: the server said no before it wrote anything, so this row surely does not exist.
    return sqlState(error) === '25006' ? 'refused' : 'unknown'
  }
}

async function pause(options: WorkloadOptions, ms: number): Promise<void> {
  if (ms > 0) await options.clock.sleep(ms)
}
