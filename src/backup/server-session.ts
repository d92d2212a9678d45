import { realpath } from 'node:fs/promises'
import { sep } from 'node:path'
import type { ConnectionTarget } from '../postgres/connection-target.ts'
import { openSql, type Sql, sqlState } from '../postgres/sql.ts'
import { Fault, isFault } from '../std/fault.ts'
import { type Lsn, parseLsn, type TimelineId } from '../wal/core/lsn.ts'
import type { WalPosition } from '../wal/core/timeline-history.ts'
import { type BackupLabel, parseBackupLabel } from './core/backup-label.ts'
import { backupFaults } from './faults.ts'
import { pageBytes } from './page/checksum-page.ts'
import { openUpstreamPrimary, type UpstreamPrimary } from './upstream-primary.ts'

/** What is asked of the server before anything is copied. */
export interface ServerFacts {
  readonly systemIdentifier: bigint
  readonly postgresVersion: number
  readonly dataDirectory: string
  readonly pageChecksums: boolean
  readonly blocksPerSegment: number
  readonly walSegmentBytes: number
  /** `PG_15_202209061`: what this server's part of a tablespace is called. */
  readonly tablespaceDirectory: string
  /** Configuration files that lie outside the data directory, so that no backup has them. */
  readonly configurationElsewhere: readonly string[]
  /** Versions of the collation libraries that indexes were built with, by database: `app: libc 2.36`. */
  readonly collationVersions: readonly string[]
}

/** What `pg_backup_stop` gave. */
export interface StoppedBackup extends BackupLabel {
  readonly stopLsn: Lsn
  /** Byte for byte. */
  readonly backupLabel: string
  readonly tablespaceMap: string
}

/**
 * The one connection that holds a backup open in the server: PostgreSQL's low-level backup protocol (documentation of 15
 * to 18, "Making a Base Backup Using the Low Level API"), on a primary or on a standby. When it is closed, or lost, the
 * server forgets the backup, so nothing has to be cleaned up after a crash of ours.
 */
export interface ServerSession extends AsyncDisposable {
  readonly facts: ServerFacts
  readonly role: ServerRole
  /** Brings a standby's last restart point near, where its primary can be asked for a checkpoint. */
  prepare(): Promise<void>
  /**
   * The timeline that it writes, and how far it has written. Of a standby: up to where its files are sure to be
   * consistent again when WAL is replayed into a copy of them.
   */
  position(): Promise<WalPosition>
  /** By oid of each database, a text that is another one when the database was dropped and made anew. */
  databases(): Promise<Record<string, string>>
  /** Makes a checkpoint at once, or a restart point; what is copied from now on can be recovered. */
  start(label: string): Promise<void>
  /** Throws `backup-server-changed` unless the server still is what it was: primary or standby. */
  assertUnchanged(): Promise<void>
  stop(): Promise<StoppedBackup>
}

export type ServerRole = 'primary' | 'standby'

/** "holdfast" in ASCII: the advisory lock that one backup of a server at a time holds. */
const advisoryLock = 0x686f6c6466617374n

/** Connects, checks that this server can be backed up from this directory, and takes the lock. */
export async function openServerSession(
  target: ConnectionTarget,
  dataDirectory: string,
  options: { readonly signal?: AbortSignal | undefined } = {},
): Promise<ServerSession> {
  const sql = await openSql(target, { signal: options.signal, applicationName: 'holdfast backup' })
  try {
    // A backup takes as long as it takes; no limit of the role or the database may cut it.
    await sql.query(`SELECT set_config(name, '0', false) FROM pg_settings
      WHERE name IN ('statement_timeout', 'idle_session_timeout', 'transaction_timeout', 'lock_timeout')`)
    const role: ServerRole = (await isInRecovery(sql)) ? 'standby' : 'primary'
    const facts = await readFacts(sql)
    await assertSameDirectory(facts.dataDirectory, dataDirectory)
    await takeLock(sql)
    const primary =
      role === 'primary' ? undefined : await openUpstreamPrimary(sql, target, facts.systemIdentifier, options)
    return {
      facts,
      role,
      prepare: () => unlessChanged(() => bringRestartPointNear(sql, primary)),
      position: () => unlessChanged(() => (role === 'primary' ? readPosition(sql) : readStandbyPosition(sql))),
      databases: () => unlessChanged(() => readDatabases(sql)),
      start: (label) => startBackup(sql, label),
      assertUnchanged: () => unlessChanged(() => assertRole(sql, role)),
      stop: () => unlessChanged(() => stopBackup(sql, role, primary)),
      [Symbol.asyncDispose]: async () => {
        await primary?.[Symbol.asyncDispose]()
        await sql.close()
      },
    }
  } catch (error) {
    await sql.close()
    throw error
  }
}

async function readFacts(sql: Sql): Promise<ServerFacts> {
  const [row] = await sql.query<FactsRow>(`SELECT
    s.system_identifier::text AS "systemIdentifier", s.catalog_version_no AS "catalogVersion",
    i.database_block_size AS "blockBytes", i.blocks_per_segment AS "blocksPerSegment",
    i.bytes_per_wal_segment AS "walSegmentBytes", i.data_page_checksum_version AS "checksumVersion",
    current_setting('server_version_num')::int AS "postgresVersion", current_setting('wal_level') AS "walLevel",
    current_setting('data_directory') AS "dataDirectory",
    ARRAY[current_setting('config_file'), current_setting('hba_file'), current_setting('ident_file')] AS "files"
    FROM pg_control_system() s, pg_control_init() i`)
  if (row === undefined) throw unfit('it does not tell what it is')
  if (row.walLevel === 'minimal') throw unfit('its wal_level is minimal')
  if (row.blockBytes !== pageBytes) throw unfit(`its pages have ${row.blockBytes} bytes`)
  const collations = await sql.query<{ line: string }>(`SELECT datname || ': ' ||
    CASE datlocprovider WHEN 'c' THEN 'libc' WHEN 'i' THEN 'icu' ELSE 'builtin' END || ' ' || datcollversion AS line
    FROM pg_database WHERE datcollversion IS NOT NULL ORDER BY datname`)
  return {
    systemIdentifier: BigInt(row.systemIdentifier),
    postgresVersion: row.postgresVersion,
    dataDirectory: row.dataDirectory,
    pageChecksums: row.checksumVersion !== 0,
    blocksPerSegment: row.blocksPerSegment,
    walSegmentBytes: row.walSegmentBytes,
    tablespaceDirectory: `PG_${Math.floor(row.postgresVersion / 10000)}_${row.catalogVersion}`,
    configurationElsewhere: row.files.filter((file) => file !== '' && !file.startsWith(row.dataDirectory + sep)),
    collationVersions: collations.map(({ line }) => line),
  }
}

interface FactsRow extends Readonly<Record<string, unknown>> {
  readonly systemIdentifier: string
  readonly catalogVersion: number
  readonly blockBytes: number
  readonly blocksPerSegment: number
  readonly walSegmentBytes: number
  readonly checksumVersion: number
  readonly postgresVersion: number
  readonly walLevel: string
  readonly dataDirectory: string
  readonly files: readonly string[]
}

async function readPosition(sql: Sql): Promise<WalPosition> {
  const [row] = await sql.query<{ lsn: string; segment: string }>(
    'SELECT pg_current_wal_insert_lsn()::text AS lsn, pg_walfile_name(pg_current_wal_insert_lsn()) AS segment',
  )
  const lsn = parseLsn(row?.lsn ?? '')
  if (row === undefined || lsn === undefined) throw changed('it does not tell where it is')
  return { timeline: Number.parseInt(row.segment.slice(0, 8), 16) as TimelineId, lsn }
}

/** The transaction that wrote a database's row: the one that created it, or altered it since. */
async function readDatabases(sql: Sql): Promise<Record<string, string>> {
  const rows = await sql.query<{ oid: string; xmin: string }>(
    'SELECT oid::text AS oid, xmin::text AS xmin FROM pg_database',
  )
  return Object.fromEntries(rows.map(({ oid, xmin }) => [oid, xmin]))
}

async function assertSameDirectory(ofServer: string, given: string): Promise<void> {
  const [theirs, ours] = await Promise.all([ofServer, given].map((path) => realpath(path).catch(() => undefined)))
  if (ours !== undefined && ours === theirs) return
  throw new Fault(backupFaults['backup-wrong-directory'], `Cannot back up ${given}: the server runs on ${ofServer}`, {
    details: { given, ofServer },
  })
}

async function takeLock(sql: Sql): Promise<void> {
  try {
    // Long enough for the server to notice that an earlier backup of ours was killed.
    await sql.query(`SELECT set_config('lock_timeout', '3s', false)`)
    await sql.query('SELECT pg_advisory_lock($1)', [advisoryLock.toString()])
    await sql.query(`SELECT set_config('lock_timeout', '0', false)`)
  } catch (error) {
    if (sqlState(error) !== '55P03') throw error
    throw new Fault(
      backupFaults['backup-already-running'],
      'Cannot begin a backup: another one of this server is running',
      {
        cause: error,
      },
    )
  }
}

async function isInRecovery(sql: Sql): Promise<boolean> {
  const [row] = await sql.query<{ inRecovery: boolean }>('SELECT pg_is_in_recovery() AS "inRecovery"')
  return row?.inRecovery === true
}

async function assertRole(sql: Sql, role: ServerRole): Promise<void> {
  const now: ServerRole = (await isInRecovery(sql)) ? 'standby' : 'primary'
  if (now !== role) throw changed(now === 'primary' ? 'it was promoted' : 'it is in recovery now')
}

async function startBackup(sql: Sql, label: string): Promise<void> {
  try {
    await sql.query('SELECT pg_backup_start($1, fast => true)', [label])
  } catch (error) {
    if (sqlState(error) !== '55000') throw error
    // Of a standby, when its primary writes WAL without whole pages.
    throw unfit(error instanceof Error ? error.message : String(error), error)
  }
}

async function stopBackup(sql: Sql, role: ServerRole, primary: UpstreamPrimary | undefined): Promise<StoppedBackup> {
  const [row] = await sql.query<{ lsn: string; label: string; map: string | null }>(
    'SELECT lsn::text AS lsn, labelfile AS label, spcmapfile AS map FROM pg_backup_stop(wait_for_archive => false)',
  )
  const stopLsn = parseLsn(row?.lsn ?? '')
  const label = parseBackupLabel(row?.label ?? '')
  if (row === undefined || stopLsn === undefined || label === undefined) throw changed('it gave no backup label')
  await assertRole(sql, role)
  const timeline = role === 'primary' ? await timelineOf(sql, row.lsn) : (await readStandbyPosition(sql)).timeline
  if (timeline !== label.timeline) throw changed(`it was on timeline ${label.timeline} and is on ${timeline} now`)
  await primary?.switchWal()
  return { ...label, stopLsn, backupLabel: row.label, tablespaceMap: row.map ?? '' }
}

async function timelineOf(sql: Sql, lsn: string): Promise<TimelineId> {
  const [row] = await sql.query<{ segment: string }>('SELECT pg_walfile_name($1::pg_lsn) AS segment', [lsn])
  return Number.parseInt(row?.segment.slice(0, 8) ?? '', 16) as TimelineId
}

/**
 * The minimum recovery point, which is where a copy of a standby's files, `pg_control` last, is consistent again; it
 * only ever goes forward. What was replayed beyond may be in no file yet. Follows `do_pg_backup_stop` in `xlog.c`.
 */
async function readStandbyPosition(sql: Sql): Promise<WalPosition> {
  const [row] = await sql.query<{ lsn: string; timeline: number }>(
    `SELECT r.min_recovery_end_lsn::text AS lsn, greatest(r.min_recovery_end_timeline, c.timeline_id) AS timeline
      FROM pg_control_recovery() r, pg_control_checkpoint() c`,
  )
  const lsn = parseLsn(row?.lsn ?? '')
  if (row === undefined || lsn === undefined) throw changed('it does not tell where it is')
  return { timeline: row.timeline as TimelineId, lsn }
}

const replayPatienceMs = 60_000

/**
 * A backup of a standby begins at its last restart point, and goes on only from parents that end before its minimum
 * recovery point. Both come near with a checkpoint of the primary, once the standby has replayed it; a standby that is
 * far behind is not waited for.
 */
async function bringRestartPointNear(sql: Sql, primary: UpstreamPrimary | undefined): Promise<void> {
  const lsn = await primary?.checkpoint()
  if (lsn === undefined) return
  const began = performance.now()
  for (;;) {
    const [row] = await sql.query<{ replayed: boolean }>('SELECT pg_last_wal_replay_lsn() >= $1::pg_lsn AS replayed', [
      lsn,
    ])
    if (row?.replayed === true) break
    if (performance.now() - began > replayPatienceMs) return
    await sql.query('SELECT pg_sleep(0.05)')
  }
  await sql.query('CHECKPOINT')
}

/** A connection that is lost, or a backup that the server does not know of any more, means another life of the server. */
async function unlessChanged<Result>(work: () => Promise<Result>): Promise<Result> {
  try {
    return await work()
  } catch (error) {
    const forgotten = sqlState(error) === '55000'
    // The name of the setting is in the message in every language.
    if (forgotten && error instanceof Error && error.message.includes('full_page_writes'))
      throw unfit(error.message, error)
    if (!forgotten && !(isFault(error) && error.kind.exitClass === 'unreachable')) throw error
    throw changed(error instanceof Error ? error.message : String(error), error)
  }
}

function changed(reason: string, cause?: unknown): Fault {
  return new Fault(backupFaults['backup-server-changed'], `Cannot complete the backup: the server changed: ${reason}`, {
    cause,
  })
}

function unfit(reason: string, cause?: unknown): Fault {
  return new Fault(backupFaults['backup-server-unfit'], `Cannot back up this server: ${reason}`, { cause })
}
