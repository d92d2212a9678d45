import type { ConnectionTarget } from '../postgres/connection-target.ts'
import { openSql, type Sql } from '../postgres/sql.ts'
import { Fault } from '../std/fault.ts'

/**
 * The primary that a standby streams from, for what a backup of the standby asks of it: both shorten the WAL that the
 * backup needs and the wait for it. A backup can do without, so whatever goes wrong here is no reason to fail.
 */
export interface UpstreamPrimary extends AsyncDisposable {
  /** Makes a checkpoint, from which the standby can make a restart point; gives the end of WAL after it. */
  checkpoint(): Promise<string | undefined>
  /** Ends the present WAL segment, so that an archiver that takes whole segments gets it. */
  switchWal(): Promise<void>
}

/** Undefined when the standby streams from nowhere, from another standby, or the primary cannot be asked. */
export async function openUpstreamPrimary(
  standby: Sql,
  target: ConnectionTarget,
  systemIdentifier: bigint,
  options: { readonly signal?: AbortSignal | undefined },
): Promise<UpstreamPrimary | undefined> {
  const [sender] = await standby.query<{ host: string | null; port: number | null }>(
    `SELECT sender_host AS host, sender_port AS port FROM pg_stat_wal_receiver WHERE status = 'streaming'`,
  )
  const { host, port } = sender ?? { host: null, port: null }
  if (host === null || port === null) return undefined
  const upstream = { ...target, host, port }
  const sql = await unlessFault(() =>
    openSql(upstream, { ...options, applicationName: 'holdfast backup of a standby' }),
  )
  if (sql === undefined) return undefined
  const [row] = (await unlessFault(() => sql.query<{ fits: boolean }>(fits, [systemIdentifier.toString()]))) ?? []
  if (row?.fits !== true) {
    await sql.close()
    return undefined
  }
  return {
    checkpoint: async () => {
      const rows = await unlessFault(async () => {
        await sql.query('CHECKPOINT')
        return await sql.query<{ lsn: string }>('SELECT pg_current_wal_flush_lsn()::text AS lsn')
      })
      return rows?.[0]?.lsn
    },
    switchWal: async () => void (await unlessFault(() => sql.query('SELECT pg_switch_wal()'))),
    [Symbol.asyncDispose]: () => sql.close(),
  }
}

const fits = 'SELECT system_identifier::text = $1 AND NOT pg_is_in_recovery() AS fits FROM pg_control_system()'

async function unlessFault<Result>(work: () => Promise<Result>): Promise<Result | undefined> {
  try {
    return await work()
  } catch (error) {
    if (error instanceof Fault) return undefined
    throw error
  }
}
