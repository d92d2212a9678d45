import { closeSync, mkdirSync, openSync, statSync } from 'node:fs'
import { dirname } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import type { Clock } from '../../std/clock.ts'
import { Fault } from '../../std/fault.ts'
import { coordinatorFaults } from '../faults.ts'
import { isBusy, sqliteFault } from './sqlite-fault.ts'

/** "HFco": marks the file as ours (https://sqlite.org/pragma.html#pragma_application_id). */
const applicationId = 0x4846636f
const formatVersion = 1

/** How long SQLite itself may wait for a lock, which blocks the event loop; longer waits are asynchronous. */
const busyTimeoutMs = 4
const firstRetryMs = 2
const longestRetryMs = 20

/**
 * `durable`: synced before the answer. `until-reboot`: survives the death of every process, not a loss of power. Enough
 * for leases and for what hangs on them, since a restart of the machine ends every lease anyway; it keeps three agents
 * that renew twice a second from syncing the disk six times a second. A later durable write syncs these too.
 */
export type Durability = 'durable' | 'until-reboot'

export interface CoordinatorFileOptions {
  readonly file: string
  readonly clock: Clock
  /** How long another process may be in the way before the coordinator counts as unreachable. */
  readonly timeoutMs: number
  /** Opens the database; tests give one that fails. */
  readonly openDatabase?: ((file: string) => DatabaseSync) | undefined
}

/** The SQLite file shared by the processes of one machine: transactions that wait for each other without blocking. */
export interface CoordinatorFile extends Disposable {
  readonly database: DatabaseSync
  /** Runs `work` on one consistent state. `work` must not wait; it may run several times. */
  read<Result>(work: () => Result, signal?: AbortSignal): Promise<Result>
  /** Runs `work` alone among all processes and makes its changes at once, or none if it throws. */
  write<Result>(durability: Durability, work: () => Result, signal?: AbortSignal): Promise<Result>
}

export async function openCoordinatorFile(options: CoordinatorFileOptions): Promise<CoordinatorFile> {
  const { file } = options
  const database = openOrCreate(options)
  let closed = false
  const inode = statSync(file).ino

  /** Tries until no other process is in the way. */
  async function attempt<Result>(work: () => Result, signal?: AbortSignal): Promise<Result> {
    const start = options.clock.monotonic()
    for (let waitMs = firstRetryMs; ; waitMs = Math.min(waitMs * 2, longestRetryMs)) {
      signal?.throwIfAborted()
      if (closed) throw new Fault(coordinatorFaults['coordinator-closed'], `Cannot use ${file}: it has been closed`)
      try {
        return work()
      } catch (error) {
        if (!isBusy(error) || options.clock.monotonic() - start >= options.timeoutMs) throw sqliteFault(error, file)
      }
      await options.clock.sleep(waitMs, { signal })
    }
  }

  function transaction<Result>(begin: string, work: () => Result): Result {
    refuseReplacedFile(file, inode)
    try {
      database.exec(begin)
      const result = work()
      database.exec('COMMIT')
      return result
    } catch (error) {
      rollBack(database)
      throw error
    }
  }

  const coordinatorFile: CoordinatorFile = {
    database,
    read: (work, signal) => attempt(() => transaction('BEGIN', work), signal),
    write: (durability, work, signal) =>
      attempt(() => {
        database.exec(`PRAGMA synchronous = ${durability === 'durable' ? 'FULL' : 'NORMAL'}`)
        return transaction('BEGIN IMMEDIATE', work)
      }, signal),
    [Symbol.dispose]: () => {
      if (closed) return
      closed = true
      database.close()
    },
  }

  try {
    await attempt(() => useWriteAheadLog(database, file))
    await coordinatorFile.write('durable', () => prepareSchema(database, file))
    return coordinatorFile
  } catch (error) {
    coordinatorFile[Symbol.dispose]()
    throw error
  }
}

function openSqlite(file: string): DatabaseSync {
  return new DatabaseSync(file, { timeout: busyTimeoutMs })
}

function openOrCreate({ file, openDatabase = openSqlite }: CoordinatorFileOptions): DatabaseSync {
  try {
    mkdirSync(dirname(file), { recursive: true, mode: 0o700 })
    closeSync(openSync(file, 'a', 0o600))
  } catch (error) {
    throw new Fault(
      coordinatorFaults['coordinator-file-unusable'],
      `Cannot open the coordinator's file ${file}: ${error instanceof Error ? error.message : String(error)}`,
      { details: { file }, cause: error },
    )
  }
  try {
    return openDatabase(file)
  } catch (error) {
    throw sqliteFault(error, file)
  }
}

/** A rollback may fail when the failure itself has already ended the transaction; then there is nothing to undo. */
function rollBack(database: DatabaseSync): void {
  try {
    if (database.isTransaction) database.exec('ROLLBACK')
  } catch (error) {
    if (database.isTransaction) throw error
  }
}

/** Whoever holds a removed file open would go on agreeing with nobody, and lead beside the leader of the new file. */
function refuseReplacedFile(file: string, inode: number): void {
  if (statSync(file, { throwIfNoEntry: false })?.ino === inode) return
  throw new Fault(
    coordinatorFaults['coordinator-file-replaced'],
    `Cannot use the coordinator's file ${file}: it was removed or replaced while in use`,
    { details: { file } },
  )
}

function useWriteAheadLog(database: DatabaseSync, file: string): void {
  const mode = database.prepare('PRAGMA journal_mode = WAL').get()?.['journal_mode']
  if (mode === 'wal') return
  throw new Fault(
    coordinatorFaults['coordinator-file-unusable'],
    `Cannot use the coordinator's file ${file}: its file system does not allow a write-ahead log`,
    { details: { file, journalMode: String(mode) } },
  )
}

function prepareSchema(database: DatabaseSync, file: string): void {
  const pragma = (name: string): unknown => database.prepare(`PRAGMA ${name}`).get()?.[name]
  const tables = database.prepare('SELECT count(*) AS count FROM sqlite_schema').get()?.['count']
  if (pragma('application_id') === 0 && tables === 0) {
    database.exec(`
      PRAGMA application_id = ${applicationId};
      PRAGMA user_version = ${formatVersion};
      CREATE TABLE counter (id INTEGER PRIMARY KEY CHECK (id = 1), revision INTEGER NOT NULL) STRICT;
      INSERT INTO counter VALUES (1, 1);
      CREATE TABLE lease (
        id TEXT PRIMARY KEY,
        ttl_ms REAL NOT NULL,
        boot_id TEXT NOT NULL,
        expires_at REAL NOT NULL -- CLOCK_MONOTONIC of that boot, in milliseconds
      ) STRICT, WITHOUT ROWID;
      CREATE TABLE entry (
        key TEXT PRIMARY KEY,
        value TEXT NOT NULL,
        create_revision INTEGER NOT NULL,
        mod_revision INTEGER NOT NULL,
        lease TEXT REFERENCES lease (id)
      ) STRICT, WITHOUT ROWID;
    `)
  }
  if (pragma('application_id') !== applicationId || pragma('user_version') !== formatVersion) {
    throw new Fault(
      coordinatorFaults['coordinator-file-foreign'],
      `Cannot use the coordinator's file ${file}: it was not written by this version of Holdfast`,
      { details: { file, applicationId: Number(pragma('application_id')), version: Number(pragma('user_version')) } },
    )
  }
  const damage = database.prepare('PRAGMA quick_check(1)').get()?.['quick_check']
  if (damage !== 'ok') {
    throw new Fault(
      coordinatorFaults['coordinator-file-corrupt'],
      `Cannot use the coordinator's file ${file}: ${String(damage)}`,
      { details: { file } },
    )
  }
}
