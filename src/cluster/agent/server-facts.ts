import type { ConnectionTarget } from '../../postgres/connection-target.ts'
import { openSql } from '../../postgres/sql.ts'
import type { Sql } from '../../postgres/sql.ts'
import type { Clock } from '../../std/clock.ts'
import { parseLsn } from '../../wal/core/lsn.ts'
import type { Lsn } from '../../wal/core/lsn.ts'

/** What the server says about itself, as one query gives it. */
export interface ServerFacts {
  readonly recovery: boolean
  readonly systemIdentifier: string
  readonly versionNumber: number
  readonly startedAtEpochMs: number
  readonly syncNames: string
  readonly primaryConninfo: string
  /** Of a primary: the timeline it writes. Of a standby: the highest that its control data knows. */
  readonly timeline: number
  readonly flushLsn: Lsn | null
  readonly receiveLsn: Lsn | null
  readonly replayLsn: Lsn | null
  readonly replayedAtEpochMs: number | null
  readonly replayPaused: boolean
  readonly receiver: { readonly streaming: boolean; readonly timeline: number; readonly latestEnd: Lsn | null } | null
  /** What the startup process waits for; tells whether local WAL is still being read. */
  readonly startupWait: string | null
  readonly senders: readonly SenderFacts[]
  readonly slots: readonly { readonly name: string; readonly active: boolean }[]
}

export interface SenderFacts {
  readonly name: string
  readonly user: string
  readonly address: string | null
  readonly state: string
  readonly flushLsn: Lsn | null
  readonly syncState: string
  readonly syncPriority: number
}

const factsQuery = `
select json_build_object(
  'recovery', recovery,
  'systemIdentifier', (select system_identifier::text from pg_control_system()),
  'versionNumber', current_setting('server_version_num')::int,
  'startedAt', extract(epoch from pg_postmaster_start_time()) * 1000,
  'syncNames', current_setting('synchronous_standby_names'),
  'primaryConninfo', current_setting('primary_conninfo'),
  'timeline', case when recovery
    then (select greatest(c.timeline_id, r.min_recovery_end_timeline) from pg_control_checkpoint() c, pg_control_recovery() r)
    else ('x' || substr(pg_walfile_name(pg_current_wal_insert_lsn()), 1, 8))::bit(32)::int end,
  'flushLsn', case when recovery then null else pg_current_wal_flush_lsn() end,
  'receiveLsn', pg_last_wal_receive_lsn(),
  'replayLsn', pg_last_wal_replay_lsn(),
  'replayedAt', extract(epoch from pg_last_xact_replay_timestamp()) * 1000,
  'replayPaused', case when recovery then pg_is_wal_replay_paused() else false end,
  'receiver', (select json_build_object('status', status, 'timeline', received_tli, 'latestEnd', latest_end_lsn)
    from pg_stat_wal_receiver),
  'startupWait', (select wait_event from pg_stat_activity where backend_type = 'startup'),
  'senders', (select coalesce(json_agg(json_build_object('name', application_name, 'user', usename,
      'address', host(client_addr), 'state', state, 'flushLsn', flush_lsn, 'syncState', sync_state,
      'syncPriority', sync_priority)), '[]') from pg_stat_replication),
  'slots', (select coalesce(json_agg(json_build_object('name', slot_name, 'active', active)), '[]')
    from pg_replication_slots where slot_type = 'physical' and not temporary)
) as facts from (select pg_is_in_recovery() as recovery) as role`

/**
 * Asks the local server for {@link ServerFacts} over one connection that is kept. An answer that does not come in time
 * is `late`: the question stays open and is not asked twice, so that a server that hangs costs one connection.
 */
export type FactsAnswer =
  | { readonly kind: 'facts'; readonly facts: ServerFacts }
  /** It runs, but takes no connection (yet). */
  | { readonly kind: 'unready'; readonly because: string }
  | { readonly kind: 'late' }

const patienceMs = 700
const statementTimeoutMs = 5000

export class ServerFactsReader {
  readonly #target: ConnectionTarget
  readonly #clock: Clock
  #sql: Sql | undefined
  #connection = new AbortController()
  #pending: Promise<FactsAnswer> | undefined

  constructor(target: ConnectionTarget, clock: Clock) {
    this.#target = target
    this.#clock = clock
  }

  async read(): Promise<FactsAnswer> {
    this.#pending ??= this.#ask().finally(() => {
      this.#pending = undefined
    })
    const patience = new AbortController()
    const late = this.#clock.sleep(patienceMs, { signal: patience.signal }).then(
      (): FactsAnswer => ({ kind: 'late' }),
      (): FactsAnswer => ({ kind: 'late' }),
    )
    try {
      return await Promise.race([this.#pending, late])
    } finally {
      patience.abort()
    }
  }

  /** Ends the connection at once: a server that hangs would never answer a farewell. */
  async close(): Promise<void> {
    const sql = this.#sql
    this.#sql = undefined
    this.#connection.abort()
    this.#connection = new AbortController()
    await sql?.close()
  }

  async #ask(): Promise<FactsAnswer> {
    try {
      this.#sql ??= await openSql(this.#target, {
        connectTimeoutMs: 3000,
        signal: this.#connection.signal,
        statementTimeoutMs,
        applicationName: 'holdfast agent',
      })
      const [row] = await this.#sql.query<{ facts: RawFacts }>(factsQuery)
      if (row === undefined) throw new Error('no row')
      return { kind: 'facts', facts: parseFacts(row.facts) }
    } catch (error) {
      await this.close()
      return { kind: 'unready', because: error instanceof Error ? error.message : String(error) }
    }
  }
}

interface RawFacts {
  readonly recovery: boolean
  readonly systemIdentifier: string
  readonly versionNumber: number
  readonly startedAt: number
  readonly syncNames: string
  readonly primaryConninfo: string
  readonly timeline: number
  readonly flushLsn: string | null
  readonly receiveLsn: string | null
  readonly replayLsn: string | null
  readonly replayedAt: number | null
  readonly replayPaused: boolean
  readonly receiver: { readonly status: string; readonly timeline: number; readonly latestEnd: string | null } | null
  readonly startupWait: string | null
  readonly senders: readonly (Omit<SenderFacts, 'flushLsn'> & { readonly flushLsn: string | null })[]
  readonly slots: readonly { readonly name: string; readonly active: boolean }[]
}

function parseFacts(raw: RawFacts): ServerFacts {
  return {
    recovery: raw.recovery,
    systemIdentifier: raw.systemIdentifier,
    versionNumber: raw.versionNumber,
    startedAtEpochMs: raw.startedAt,
    syncNames: raw.syncNames,
    primaryConninfo: raw.primaryConninfo,
    timeline: raw.timeline,
    flushLsn: lsnOrNull(raw.flushLsn),
    receiveLsn: lsnOrNull(raw.receiveLsn),
    replayLsn: lsnOrNull(raw.replayLsn),
    replayedAtEpochMs: raw.replayedAt,
    replayPaused: raw.replayPaused,
    receiver:
      raw.receiver === null
        ? null
        : {
            streaming: raw.receiver.status === 'streaming',
            timeline: raw.receiver.timeline,
            latestEnd: lsnOrNull(raw.receiver.latestEnd),
          },
    startupWait: raw.startupWait,
    senders: raw.senders.map((sender) => ({ ...sender, flushLsn: lsnOrNull(sender.flushLsn) })),
    slots: raw.slots,
  }
}

function lsnOrNull(text: string | null): Lsn | null {
  return text === null ? null : (parseLsn(text) ?? null)
}
