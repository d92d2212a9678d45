import { randomUUID } from 'node:crypto'
import type { DatabaseSync } from 'node:sqlite'
import type { Clock } from '../../std/clock.ts'
import { Fault, isFault } from '../../std/fault.ts'
import type { Change, Coordinator, Entry, LeaseId, Transaction, TransactionResult } from '../coordinator.ts'
import { coordinatorFaults } from '../faults.ts'
import { readBootId } from './boot-id.ts'
import type { Durability } from './coordinator-file.ts'
import { openCoordinatorFile } from './coordinator-file.ts'

/** How often a watch looks; a look costs some 20 µs. */
const watchIntervalMs = 20
const defaultTimeoutMs = 2000

export interface EmbeddedCoordinatorOptions {
  readonly file: string
  readonly clock: Clock
  /** How long another process may hold the file before calls fail with `coordinator-unreachable`. */
  readonly timeoutMs?: number | undefined
  /** Which boot of the machine this is. Tests give another one to play a restart. */
  readonly bootId?: string | undefined
  readonly openDatabase?: ((file: string) => DatabaseSync) | undefined
}

/**
 * The coordinator of one machine: an SQLite file that the agents of several nodes share. It survives the death of any
 * process at any instant. It is no protection against the loss of the machine, nor against a process that is frozen
 * within the fraction of a millisecond in which it holds the file's lock: then nobody can acquire until it is resumed or
 * killed.
 */
export async function openEmbeddedCoordinator(options: EmbeddedCoordinatorOptions): Promise<Coordinator> {
  const { file, clock, timeoutMs = defaultTimeoutMs, openDatabase } = options
  const bootId = options.bootId ?? readBootId()
  const shared = await openCoordinatorFile({ file, clock, timeoutMs, openDatabase })
  const tables = prepareTables(shared.database)

  const dead = (): boolean => tables.countDead(bootId, clock.monotonic()) > 0

  /** Runs alone on a state without expired leases, so that no caller ever acts on one. */
  function write<Result>(durability: Durability, work: () => Result, signal?: AbortSignal): Promise<Result> {
    return shared.write(
      durability,
      () => {
        if (dead()) tables.removeDead(bootId, clock.monotonic())
        return work()
      },
      signal,
    )
  }

  /** Reads a state in which no lease has expired; a reader who meets one removes it first. */
  async function read<Result>(work: () => Result, signal?: AbortSignal): Promise<Result> {
    const answer = await shared.read(() => (dead() ? undefined : { result: work() }), signal)
    return answer === undefined ? write('until-reboot', work, signal) : answer.result
  }

  async function* changes(seenRevision: number, signal: AbortSignal): AsyncGenerator<void> {
    let seen = seenRevision
    while (!signal.aborted) {
      const revision = await read(tables.revision, signal).catch((error: unknown) => {
        // An outage ends by itself, and what changed in it shows up in the revision; nothing else does.
        if (signal.aborted || isFault(error, coordinatorFaults['coordinator-unreachable'])) return seen
        throw error
      })
      if (revision !== seen) {
        seen = revision
        yield
      }
      await clock.sleep(watchIntervalMs, { signal }).catch((error: unknown) => {
        if (!signal.aborted) throw error
      })
    }
  }

  return {
    description: `embedded coordinator ${file}`,

    list: (prefix, { signal } = {}) =>
      read(() => ({ revision: tables.revision(), entries: tables.below(prefix) }), signal),

    transact: (transaction, { signal } = {}) => {
      refuseRepeatedKeys(transaction)
      return write(durabilityOf(transaction), () => tables.apply(transaction), signal)
    },

    grantLease: (ttlMs, { signal } = {}) => {
      const lease = randomUUID() as LeaseId
      return write(
        'until-reboot',
        () => {
          tables.insertLease(lease, ttlMs, bootId, clock.monotonic() + ttlMs)
          return lease
        },
        signal,
      )
    },

    keepAlive: (lease, { signal } = {}) =>
      write('until-reboot', () => tables.prolongLease(lease, clock.monotonic()), signal),

    revokeLease: (lease, { signal } = {}) => write('until-reboot', () => tables.revokeLease(lease), signal),

    watch: (_prefix, { signal }) => changes(revisionNow(tables.revision), signal),

    [Symbol.asyncDispose]: async () => shared[Symbol.dispose](),
  }
}

/** The revision from which a watch counts; -1, which yields once too often, when the file is busy just now. */
function revisionNow(revision: () => number): number {
  try {
    return revision()
  } catch {
    return -1
  }
}

/** What hangs on a lease is void after a restart of the machine, so it need not survive one. */
function durabilityOf({ changes }: Transaction): Durability {
  return changes.every((change) => 'put' in change && change.lease !== undefined) ? 'until-reboot' : 'durable'
}

function keyOf(change: Change): string {
  return 'put' in change ? change.put : change.delete
}

/** As etcd: what two changes of one key in one transaction should mean is not defined. */
function refuseRepeatedKeys({ changes }: Transaction): void {
  if (new Set(changes.map(keyOf)).size === changes.length) return
  throw new Fault(coordinatorFaults['coordinator-misuse'], 'Cannot change a key twice in one transaction')
}

/** The statements on the tables, prepared once. Each runs inside a transaction of the caller. */
function prepareTables(database: DatabaseSync) {
  const selectRevision = database.prepare('SELECT revision FROM counter')
  const updateRevision = database.prepare('UPDATE counter SET revision = revision + 1 RETURNING revision')
  const selectDead = database.prepare('SELECT count(*) AS count FROM lease WHERE boot_id <> ? OR expires_at <= ?')
  const deleteDeadEntries = database.prepare(
    'DELETE FROM entry WHERE lease IN (SELECT id FROM lease WHERE boot_id <> ? OR expires_at <= ?)',
  )
  const deleteDeadLeases = database.prepare('DELETE FROM lease WHERE boot_id <> ? OR expires_at <= ?')
  const selectBelow = database.prepare(
    'SELECT * FROM entry WHERE key >= ?1 AND substr(key, 1, length(?1)) = ?1 ORDER BY key',
  )
  const selectModRevision = database.prepare('SELECT mod_revision FROM entry WHERE key = ?')
  const upsertEntry = database.prepare(
    `INSERT INTO entry (key, value, create_revision, mod_revision, lease) VALUES (?1, ?2, ?3, ?3, ?4)
     ON CONFLICT (key) DO UPDATE SET value = ?2, mod_revision = ?3, lease = ?4`,
  )
  const deleteEntry = database.prepare('DELETE FROM entry WHERE key = ?')
  const selectLease = database.prepare('SELECT id FROM lease WHERE id = ?')
  const insertLease = database.prepare('INSERT INTO lease (id, ttl_ms, boot_id, expires_at) VALUES (?, ?, ?, ?)')
  const updateLease = database.prepare('UPDATE lease SET expires_at = ttl_ms + ? WHERE id = ?')
  const deleteLeaseEntries = database.prepare('DELETE FROM entry WHERE lease = ?')
  const deleteLease = database.prepare('DELETE FROM lease WHERE id = ?')

  const revision = (): number => Number(selectRevision.get()?.['revision'])
  const nextRevision = (): number => Number(updateRevision.get()?.['revision'])
  const modRevision = (key: string): number => Number(selectModRevision.get(key)?.['mod_revision'] ?? 0)

  return {
    revision,

    countDead: (bootId: string, now: number): number => Number(selectDead.get(bootId, now)?.['count']),

    removeDead(bootId: string, now: number): void {
      // The revision grows only when a key went: a lease without keys ends unseen.
      if (deleteDeadEntries.run(bootId, now).changes > 0) nextRevision()
      deleteDeadLeases.run(bootId, now)
    },

    below: (prefix: string): Entry[] => selectBelow.all(prefix).map(toEntry),

    apply({ conditions, changes }: Transaction): TransactionResult {
      const refused =
        conditions.some((condition) => modRevision(condition.key) !== condition.modRevision) ||
        changes.some((change) => 'put' in change && change.lease !== undefined && !selectLease.get(change.lease))
      if (refused) return { committed: false, revision: revision() }
      if (!changes.some((change) => 'put' in change || modRevision(change.delete) !== 0)) {
        return { committed: true, revision: revision() }
      }
      const next = nextRevision()
      for (const change of changes) {
        if ('put' in change) upsertEntry.run(change.put, change.value, next, change.lease ?? null)
        else deleteEntry.run(change.delete)
      }
      return { committed: true, revision: next }
    },

    insertLease: (lease: LeaseId, ttlMs: number, bootId: string, expiresAt: number): void => {
      insertLease.run(lease, ttlMs, bootId, expiresAt)
    },

    prolongLease: (lease: LeaseId, now: number): boolean => updateLease.run(now, lease).changes === 1,

    revokeLease(lease: LeaseId): void {
      if (deleteLeaseEntries.run(lease).changes > 0) nextRevision()
      deleteLease.run(lease)
    },
  }
}

function toEntry(row: Record<string, unknown>): Entry {
  return {
    key: String(row['key']),
    value: String(row['value']),
    modRevision: Number(row['mod_revision']),
    createRevision: Number(row['create_revision']),
    lease: typeof row['lease'] === 'string' ? (row['lease'] as LeaseId) : undefined,
  }
}
