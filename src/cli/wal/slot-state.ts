import type { Config } from '../../config/schema.ts'
import { readSecretFile } from '../../config/secret-file.ts'
import { withSql } from '../../postgres/sql.ts'
import { withDeadline } from '../../std/deadline.ts'
import { parseLsn } from '../../wal/core/lsn.ts'
import type { Lsn } from '../../wal/core/lsn.ts'
import type { ServerWal, SlotReport } from './core/server-wal.ts'

const patienceMs = 5000

/** Asks the leader's server itself, as the superuser. */
export async function askServer(
  config: Config,
  { host, port }: { readonly host: string; readonly port: number },
  slot: string,
  signal: AbortSignal,
): Promise<ServerWal> {
  const { superuser } = config.postgres
  const password = await readSecretFile('postgres.superuser.passwordFile', superuser.passwordFile)
  const target = { host, port, user: superuser.name, password, database: 'postgres' }
  const [row] = await withDeadline(`ask ${host}:${port}`, patienceMs, signal, (deadline) =>
    withSql(target, { signal: deadline }, (sql) => sql.query<Row>(question, [slot])),
  )
  if (row === undefined) throw new Error('the server has answered nothing')
  return { flushLsn: lsnOf(row.flush) ?? (0n as Lsn), timeline: row.timeline, slot: slotOf(slot, row) }
}

type Row = {
  readonly flush: string
  readonly timeline: number
  readonly active: boolean | null
  readonly status: string | null
  readonly restart: string | null
  readonly retained: string | null
  readonly safe: string | null
}

const question = `
  SELECT pg_current_wal_flush_lsn()::text AS flush,
    ('x' || substr(pg_walfile_name(pg_current_wal_flush_lsn()), 1, 8))::bit(32)::int AS timeline,
    active, wal_status AS status, restart_lsn::text AS restart,
    (pg_current_wal_flush_lsn() - restart_lsn)::bigint::text AS retained, safe_wal_size::text AS safe
  FROM (SELECT) AS once LEFT JOIN pg_replication_slots ON slot_name = $1`

function slotOf(name: string, row: Row): SlotReport | undefined {
  if (row.active === null) return undefined
  return {
    name,
    active: row.active,
    status: row.status,
    restartLsn: lsnOf(row.restart),
    retainedBytes: numberOf(row.retained),
    safeBytes: numberOf(row.safe),
  }
}

function lsnOf(text: string | null): Lsn | null {
  return text === null ? null : (parseLsn(text) ?? null)
}

function numberOf(text: string | null): number | null {
  return text === null ? null : Number(text)
}
