import type { ConnectionTarget } from '../../postgres/connection-target.ts'
import { openSql } from '../../postgres/sql.ts'
import type { Sql } from '../../postgres/sql.ts'
import type { Clock } from '../../std/clock.ts'
import type { Log } from '../../std/log.ts'
import { gate, renderSyncNames } from '../core/sync-names.ts'
import { sameSync } from '../core/sync-set.ts'
import type { SyncSet } from '../core/sync-set.ts'
import type { AgentMemory } from './agent-memory.ts'
import type { ConfigurationWriter } from './server-configuration.ts'

export interface SyncProverOptions {
  readonly target: ConnectionTarget
  readonly node: string
  readonly clock: Clock
  readonly log: Log
  readonly memory: AgentMemory
  readonly configuration: ConfigurationWriter
  readonly onProven: (sync: SyncSet, term: number) => void
  readonly wake: () => void
}

const pollMs = 5
const gateLimitMs = 5000

/**
 * Puts durability sets in force and proves it. That the configuration was written proves nothing: the server's processes
 * take it one after another. The proof is a committed row whose WAL the standbys of the set report as flushed; it covers
 * everything committed before, since WAL is one sequence. A commit alone would prove less: a wait that somebody cancels
 * counts as success in PostgreSQL.
 *
 * Where commits may go on without any standby (an empty set in force), one more thing has to be known: that the server
 * has begun to wait at all. So a set that nobody can satisfy comes first, until a commit is seen waiting.
 */
export class SyncProver {
  readonly #options: SyncProverOptions
  #running: AbortController | undefined
  #work: Promise<void> = Promise.resolve()

  constructor(options: SyncProverOptions) {
    this.#options = options
  }

  /** Begins to bring the server to `sync`, giving up whatever was under way. */
  apply(sync: SyncSet, term: number): void {
    const { memory, clock } = this.#options
    const inForce = memory.syncInForce ?? []
    const ungated = memory.syncInForce === null || inForce.some((current) => current.count === 0)
    if (!inForce.some((current) => sameSync(current, sync))) memory.syncInForce = [...inForce, sync]
    memory.applying = { sync, since: clock.monotonic() }
    this.#begin(async (signal) => {
      await this.#putInForce(sync, ungated && sync.count > 0, signal)
      await this.#prove(sync, term, signal)
    })
  }

  /** Begins to commit the row of a term under the set that is in force; nothing when that is under way. */
  prove(term: number): void {
    const { memory } = this.#options
    const sync = memory.syncInForce?.at(-1)
    if (this.#running !== undefined || sync === undefined) return
    this.#begin((signal) => this.#prove(sync, term, signal))
  }

  /** Gives up; resolves when nothing is under way. */
  async stop(): Promise<void> {
    this.#running?.abort()
    await this.#work
  }

  #begin(work: (signal: AbortSignal) => Promise<void>): void {
    const { memory, log, wake } = this.#options
    this.#running?.abort()
    const running = new AbortController()
    this.#running = running
    this.#work = work(running.signal)
      .catch((error: unknown) => {
        if (!running.signal.aborted) log.warn('durability could not be proven', { error })
      })
      .finally(() => {
        if (this.#running !== running) return
        this.#running = undefined
        memory.applying = null
        wake()
      })
  }

  async #putInForce(sync: SyncSet, gated: boolean, signal: AbortSignal): Promise<void> {
    const { configuration } = this.#options
    if (gated) {
      await configuration.writeAndReload({ upstream: null, sync: 'gate' })
      await this.#untilShown(renderSyncNames(gate), signal)
      await this.#untilCommitsWait(signal)
    }
    await configuration.writeAndReload({ upstream: null, sync })
    await this.#untilShown(renderSyncNames(sync), signal)
  }

  async #prove(sync: SyncSet, term: number, signal: AbortSignal): Promise<void> {
    const { memory, onProven, wake, clock } = this.#options
    const covered = await this.#commitRow(term, signal)
    await using sql = await this.#connect(signal)
    // The set acknowledged the commit, so this holds at once; it does not when the wait was cancelled.
    for (;;) {
      signal.throwIfAborted()
      const [row] = await sql.query<{ flushed: number }>(
        `select count(distinct application_name)::int as flushed from pg_stat_replication
          where flush_lsn >= $1::pg_lsn and application_name = any($2)`,
        [covered, sync.names],
      )
      if ((row?.flushed ?? 0) >= sync.count) break
      await clock.sleep(pollMs, { signal })
    }
    memory.syncInForce = [sync]
    memory.writableTerm = term
    onProven(sync, term)
    wake()
  }

  /** Commits the term's row; gives back the LSN up to which WAL is flushed wherever the commit is. */
  async #commitRow(term: number, signal: AbortSignal): Promise<string> {
    await using sql = await this.#connect(signal)
    await sql.query('begin')
    await sql.query(
      `insert into holdfast.term (term, node, timeline, first_at, last_at, proofs)
       values ($1, $2, ('x' || substr(pg_walfile_name(pg_current_wal_insert_lsn()), 1, 8))::bit(32)::int,
         clock_timestamp(), clock_timestamp(), 1)
       on conflict (term) do update set last_at = excluded.last_at, proofs = holdfast.term.proofs + 1`,
      [term, this.#options.node],
    )
    const [row] = await sql.query<{ lsn: string }>('select pg_current_wal_insert_lsn()::text as lsn')
    await sql.query('commit')
    if (row === undefined) throw new Error('no LSN')
    return row.lsn
  }

  /** Waits until new connections see a configuration, hence the postmaster and all that it starts from now on. */
  async #untilShown(syncNames: string, signal: AbortSignal): Promise<void> {
    for (;;) {
      signal.throwIfAborted()
      await using sql = await this.#connect(signal)
      const [row] = await sql.query<{ value: string }>(`select current_setting('synchronous_standby_names') as value`)
      if (row?.value === syncNames) return
      await this.#options.clock.sleep(pollMs, { signal })
    }
  }

  /** Commits until one is seen waiting for the gate; the wait ends when its connection does. */
  async #untilCommitsWait(signal: AbortSignal): Promise<void> {
    const { clock } = this.#options
    const end = clock.monotonic() + gateLimitMs
    await using watcher = await this.#connect(signal)
    while (clock.monotonic() < end) {
      signal.throwIfAborted()
      const attempt = new AbortController()
      const sql = await this.#connect(AbortSignal.any([signal, attempt.signal]))
      const attempted = { committed: false }
      const commit = sql.query('insert into holdfast.gate (at) values (clock_timestamp())').then(
        () => void (attempted.committed = true),
        () => void (attempted.committed = true),
      )
      while (!attempted.committed && clock.monotonic() < end) {
        const [row] = await watcher.query<{ waits: boolean }>(
          `select wait_event = 'SyncRep' as waits from pg_stat_activity where pid = $1`,
          [sql.backendPid],
        )
        if (row?.waits === true) {
          attempt.abort()
          await commit
          return
        }
        await clock.sleep(pollMs, { signal })
      }
      attempt.abort()
      await commit
    }
    throw new Error('the server did not begin to wait for standbys')
  }

  #connect(signal: AbortSignal): Promise<Sql> {
    // No statement timeout: a cancelled wait would count as a commit that standbys have.
    return openSql(this.#options.target, { signal, applicationName: 'holdfast proof', connectTimeoutMs: 3000 })
  }
}
