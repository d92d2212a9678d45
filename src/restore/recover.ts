import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { ConnectionTarget } from '../postgres/connection-target.ts'
import { readControlFile } from '../postgres/control-file.ts'
import { writeSignalFiles } from '../postgres/data-directory.ts'
import type { Installation } from '../postgres/installation.ts'
import { readPostmasterPid } from '../postgres/postmaster.ts'
import { startServer } from '../postgres/server.ts'
import type { RunningServer, ServerExit } from '../postgres/server.ts'
import { sqlState, withSql } from '../postgres/sql.ts'
import type { Repository } from '../repository/repository.ts'
import type { Clock } from '../std/clock.ts'
import { Fault, isFault } from '../std/fault.ts'
import { Secret } from '../std/secret.ts'
import { isolationSettings, sandboxSettings } from './core/isolation.ts'
import { readRecoveryEnd, recoverySettings } from './core/recovery-settings.ts'
import type { ExactTarget, RecoveryAction } from './core/recovery-settings.ts'
import type { TablespaceInWal } from './core/tablespaces-in-wal.ts'
import { writeRestoredConfiguration } from './configuration.ts'
import { restoreFaults } from './faults.ts'
import { openWalFeed } from './feed/wal-feed.ts'
import type { WalFeed } from './feed/wal-feed.ts'
import { latestRecord } from './latest-record.ts'
import type { PlannedRestore } from './plan-from-repository.ts'
import { knownFault, recoveryFault } from './recovery-fault.ts'
import { requireComplete } from './layout/claim-target.ts'
import { settleRestore } from './layout/restore-note.ts'

export interface RecoverOptions {
  readonly installation: Installation
  /** Where {@link runRestore} laid the backup out. */
  readonly dataDirectory: string
  /**
   * `promote` opens the database for writing, on a new timeline; `pause` lets one look at it first; `shutdown` leaves it
   * stopped at the target. It is isolated in any case.
   */
  readonly action: RecoveryAction
  /** The directory becomes the cluster's own: the agent of its node may start it. Else agents leave it alone. */
  readonly adopt?: boolean | undefined
  /** A superuser of the cluster, for looking around over the private socket. */
  readonly superuser: string
  /** Segments fetched before they are wanted. */
  readonly aheadSegments?: number | undefined
  /** Parameters for this machine, such as a smaller `shared_buffers`; they stay in the directory. */
  readonly parameters?: Readonly<Record<string, string>> | undefined
  /** Where its socket and log go for the time being, in a directory of their own; default the temporary directory. */
  readonly scratchParent?: string | undefined
  readonly clock: Clock
  readonly onProgress?: ((progress: RecoveryProgress) => void) | undefined
  readonly signal?: AbortSignal | undefined
}

export interface RecoveryProgress {
  readonly stage: 'preparing' | 'replaying' | 'done'
  /** Start of the segment that is being replayed. */
  readonly lsn: bigint | undefined
  readonly bytesDone: number
  readonly bytesTotal: number
  readonly elapsedMs: number
  readonly etaMs: number | undefined
}

/** A restored server at its target. Disposing it stops it cleanly and removes everything but the data directory. */
export interface Recovered extends AsyncDisposable {
  /** Over its private socket, for which no password is needed; undefined after `shutdown`. */
  readonly connection: ConnectionTarget | undefined
  /** Where recovery ended, in PostgreSQL's words. */
  readonly stoppedAt: string | undefined
  readonly elapsedMs: number
  /** Tablespaces created after the backup: they lie in the data directory, not where the original has them. */
  readonly tablespacesInPlace: readonly TablespaceInWal[]
  /** Opens a paused server for writing. */
  promote(): Promise<void>
  stop(): Promise<void>
}

const port = 5432
const pollMs = 25
const defaultAheadSegments = 8

/**
 * Replays the planned WAL into a restored directory up to the target, on a server of its own that reaches nobody. The
 * target is always an exact one, so PostgreSQL itself refuses to open the database when it was not met; a file that is
 * planned and cannot be had stops recovery (law L7). Throws what stopped it; the server is then stopped, the directory
 * is not opened, and this can be called again once the cause is gone.
 */
export async function recover(
  repository: Repository,
  planned: PlannedRestore,
  options: RecoverOptions,
): Promise<Recovered> {
  const { dataDirectory, clock, signal, installation } = options
  await requireComplete(dataDirectory)
  const startedAt = clock.monotonic()
  await using stack = new AsyncDisposableStack()
  const socketDirectory = await mkdtemp(join(options.scratchParent ?? tmpdir(), 'hf-r-'))
  stack.defer(() => rm(socketDirectory, { recursive: true, force: true }))
  const target = await exactTarget(repository, planned, options)
  const feedDirectory = join(dataDirectory, 'holdfast-recovery')
  const aheadSegments = options.aheadSegments ?? defaultAheadSegments
  const feed = stack.use(
    await openWalFeed(repository, planned, { directory: feedDirectory, aheadSegments, clock, signal }),
  )
  const settings = await lastingSettings(options)
  const recovery = {
    restoreCommand: feed.restoreCommand,
    target,
    timeline: planned.plan.timeline,
    action: options.action,
  }
  await writeRestoredConfiguration(dataDirectory, { ...settings, ...recoverySettings(recovery) })
  await writeSignalFiles(dataDirectory, 'recovery')
  const logFile = join(socketDirectory, 'postgres.log')
  const parameters = {
    ...isolationSettings(installation.major),
    ...(await accessParameters(dataDirectory, socketDirectory)),
  }
  const ended = { planned, options, feed, logFile }
  const started = startServer(installation, dataDirectory, { logFile, parameters, until: 'process', signal })
  // A recovery that ends at once looks like a server that does not start.
  const server = stack.use(
    await started.catch(async (error: unknown) => {
      throw signal?.aborted === true ? error : ((await knownFault(ended)) ?? error)
    }),
  )
  const run: RecoveryRun = { ...ended, server, startedAt, connection: connectionTo(socketDirectory, options) }
  await waitForTarget(run)
  if (options.action === 'promote') await writeRestoredConfiguration(dataDirectory, settings)
  await settleRestore(dataDirectory, { adopt: options.adopt ?? false })
  const owned = stack.move()
  return {
    connection: options.action === 'shutdown' ? undefined : run.connection,
    stoppedAt: readRecoveryEnd(await readFile(logFile, 'utf8')).stoppedAt,
    elapsedMs: clock.monotonic() - startedAt,
    tablespacesInPlace: feed.tablespacesInPlace,
    promote: async () => {
      await withSql(run.connection, { signal }, (sql) => sql.query('SELECT pg_promote(true, 3600)'))
      await writeRestoredConfiguration(dataDirectory, settings)
    },
    stop: () => owned.disposeAsync(),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}

interface RecoveryRun {
  readonly planned: PlannedRestore
  readonly options: RecoverOptions
  readonly feed: WalFeed
  readonly server: RunningServer
  readonly logFile: string
  readonly startedAt: number
  readonly connection: ConnectionTarget
}

async function exactTarget(
  repository: Repository,
  planned: PlannedRestore,
  { clock, signal }: RecoverOptions,
): Promise<ExactTarget> {
  const { target } = planned.plan
  if (target.kind !== 'latest') return target
  return { kind: 'lsn', lsn: await latestRecord(repository, planned, { clock, signal }), inclusive: true }
}

/** They stay in the directory; its socket then lies in itself, where only its owner gets at it. */
async function lastingSettings({
  dataDirectory,
  installation,
  parameters,
}: RecoverOptions): Promise<Readonly<Record<string, string>>> {
  const control = await readControlFile(dataDirectory)
  return {
    ...sandboxSettings(control, { socketDirectory: '.', port }),
    ...parameters,
    ...isolationSettings(installation.major),
  }
}

/**
 * How this process gets in without a password: the socket's directory is only for the user who runs us and owns the files.
 * The restored access rules themselves stay as they are.
 */
async function accessParameters(
  dataDirectory: string,
  socketDirectory: string,
): Promise<Readonly<Record<string, string>>> {
  const hbaFile = join(socketDirectory, 'pg_hba.conf')
  const identFile = join(socketDirectory, 'pg_ident.conf')
  await writeFile(hbaFile, 'local all all trust\n', { mode: 0o600 })
  await writeFile(identFile, '', { mode: 0o600 })
  return {
    data_directory: dataDirectory,
    unix_socket_directories: socketDirectory,
    hba_file: hbaFile,
    ident_file: identFile,
  }
}

function connectionTo(socketDirectory: string, { superuser }: RecoverOptions): ConnectionTarget {
  return { host: socketDirectory, port, user: superuser, password: new Secret(''), database: 'postgres' }
}

async function waitForTarget(run: RecoveryRun): Promise<void> {
  const { options, server } = run
  const { clock, signal } = options
  const ended: { exit?: ServerExit } = {}
  void server.exited.then((exit) => (ended.exit = exit))
  for (;;) {
    signal?.throwIfAborted()
    if (ended.exit !== undefined) {
      const end = readRecoveryEnd(await readFile(run.logFile, 'utf8'))
      if (options.action === 'shutdown' && end.shutDownAtTarget) break
      throw await recoveryFault(run)
    }
    if (await isAtTarget(run)) break
    tell(run, 'replaying')
    await clock.sleep(pollMs, { signal })
  }
  tell(run, 'done')
}

async function isAtTarget(run: RecoveryRun): Promise<boolean> {
  const { options } = run
  const state = (await readPostmasterPid(options.dataDirectory))?.status
  if (options.action === 'promote') return state === 'ready'
  if (options.action === 'shutdown' || state !== 'ready') return false
  const paused = await isPaused(run)
  if (paused && readRecoveryEnd(await readFile(run.logFile, 'utf8')).parametersTooSmall) throw await recoveryFault(run)
  return paused
}

async function isPaused({ connection, options }: RecoveryRun): Promise<boolean> {
  try {
    const [row] = await withSql(connection, { signal: options.signal }, (sql) =>
      sql.query<{ state: string }>('SELECT pg_get_wal_replay_pause_state() AS state'),
    )
    return row?.state === 'paused'
  } catch (error) {
    options.signal?.throwIfAborted()
    if (sqlState(error) === notInRecovery) throw wentPast(options)
    // It is just coming up, or just going down; its exit tells.
    if (isFault(error)) return false
    throw error
  }
}

const notInRecovery = '55000'

/** PostgreSQL pauses only when readers can be let in by then, and opens the database otherwise. */
function wentPast({ dataDirectory }: RecoverOptions): Fault {
  return new Fault(
    restoreFaults['restore-recovery-failed'],
    `Cannot pause the recovery of ${dataDirectory}: readers could not be let in before the target, and it was opened`,
    { hint: 'Restore with the action `promote`, or to a later target.', details: { directory: dataDirectory } },
  )
}

function tell({ planned, options, feed, startedAt }: RecoveryRun, stage: RecoveryProgress['stage']): void {
  const { backup, walBytes } = planned.plan
  const lsn = feed.wantedLsn
  const replayed = lsn === undefined ? 0 : Math.max(0, Number(lsn - backup.startLsn))
  const bytesDone = stage === 'done' ? walBytes : Math.min(walBytes, replayed)
  const elapsedMs = options.clock.monotonic() - startedAt
  const etaMs = elapsedMs < 500 || bytesDone === 0 ? undefined : (elapsedMs * (walBytes - bytesDone)) / bytesDone
  options.onProgress?.({ stage, lsn, bytesDone, bytesTotal: walBytes, elapsedMs, etaMs })
}
