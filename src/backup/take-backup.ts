import { availableParallelism } from 'node:os'
import type { ConnectionTarget } from '../postgres/connection-target.ts'
import type { BackupSession } from '../repository/backup-session.ts'
import { claimCluster } from '../repository/cluster-identity.ts'
import type { DamagedPage } from '../repository/core/backup-facts.ts'
import type { Commit } from '../repository/core/commit.ts'
import type { Repository } from '../repository/repository.ts'
import type { Clock } from '../std/clock.ts'
import { withDeadline } from '../std/deadline.ts'
import { isFault } from '../std/fault.ts'
import { stdFaults } from '../std/faults.ts'
import type { CopyFigures } from './copy/copy-protocol.ts'
import { copyDataDirectory, type CopyProgress } from './copy-data-directory.ts'
import type { FullReason } from './core/choose-parent.ts'
import { estimateRemaining, type BackupProgress } from './core/progress.ts'
import type { Parent } from './core/share-files.ts'
import { type CopiedBackup, describeBackup } from './describe-backup.ts'
import { type BegunBackup, beginWithParent } from './find-parent.ts'
import { findRewrittenPages } from './find-rewritten-pages.ts'
import { readIncarnation } from './read-incarnation.ts'
import { openServerSession, type ServerSession } from './server-session.ts'
import { waitForWal } from './wait-for-wal.ts'
import { whileServerLives } from './while-server-lives.ts'

export interface BackupRequest {
  readonly repository: Repository
  readonly cluster: string
  /** A superuser's connection to a primary or a standby, to a database that every backup uses. */
  readonly target: ConnectionTarget
  /** Where that server's files are on this machine. */
  readonly dataDirectory: string
}

export interface BackupOptions {
  readonly clock: Clock
  /** What a person wants to call the backup. */
  readonly label?: string | undefined
  /** The node that the backup is taken from. */
  readonly node?: string | undefined
  /** Copies everything, even where an earlier backup has it. */
  readonly full?: boolean | undefined
  /** Reads every file, also those that look untouched since the parent. */
  readonly readAll?: boolean | undefined
  /** Threads that read, compress and encrypt; by default one a core. */
  readonly workers?: number | undefined
  /** How long the archiver may bring nothing new before the backup is given up; by default a minute. */
  readonly walStallMs?: number | undefined
  readonly onProgress?: ((progress: BackupProgress) => void) | undefined
  readonly signal?: AbortSignal | undefined
}

export interface BackupResult {
  readonly commit: Commit
  /** Why it is a full backup; undefined for an incremental one. */
  readonly fullReason: FullReason | undefined
  /** What was copied because the parent does not have it: of a full backup, all. */
  readonly changedBytes: number
  /** What of that was not copied anew, because an interrupted backup had copied it. */
  readonly takenOverBytes: number
  /**
   * Pages that are damaged on the server itself and in this backup. A backup with any is done but degraded: whoever
   * reports it must say so.
   */
  readonly damagedPages: readonly DamagedPage[]
  /** Pages that the server was writing each time they were read; the backup's WAL has them whole. */
  readonly tornPages: number
  /** Pages that were fine when they were read again. */
  readonly healedPages: number
  /** Files of the data directory that no backup can hold: links, sockets, devices. */
  readonly skippedFiles: readonly string[]
  readonly stages: BackupStages
}

/** How long each stage took, and where the threads' time went. */
export interface BackupStages {
  readonly startMs: number
  readonly copyMs: number
  readonly stopMs: number
  readonly walMs: number
  readonly commitMs: number
  readonly threads: CopyFigures
}

/** More would make the packs small, since memory is bounded. */
const mostWorkers = 4
const defaultWalStallMs = 60_000
const giveUpDeadlineMs = 30_000

/**
 * Takes a physical backup of a running primary or standby: what changed since its parent, the newest backup that the server's data
 * goes on from, or all of it where there is none. Either restores on its own. It is listed only when every byte that it needs, WAL included, is
 * durable in the repository; when this throws, or the process ends, nothing is listed and the server is unharmed.
 */
export async function takeBackup(request: BackupRequest, options: BackupOptions): Promise<BackupResult> {
  const { repository, cluster, target, dataDirectory } = request
  const { clock, signal } = options
  await using server = await openServerSession(target, dataDirectory, { signal })
  await claimCluster(repository, { cluster, ...server.facts }, { signal })
  await server.prepare()
  const begun = await beginWithParent(request, server, {
    clock,
    full: options.full ?? false,
    node: options.node,
    signal,
  })
  const run = new BackupRun(request, options, begun)
  try {
    const content = await run.copy(server)
    return await run.commit(content)
  } catch (error) {
    if (!run.committing) await giveUp(begun.session, error)
    throw error
  }
}

type StageName = Exclude<keyof BackupStages, 'threads'>

/** One backup under way: its stages in order, with their times and the progress that is told. */
class BackupRun {
  /** From here on a failure does not tell whether the backup is listed, so nothing of it may be removed. */
  committing = false
  readonly #request: BackupRequest
  readonly #options: BackupOptions
  readonly #session: BackupSession
  readonly #base: BegunBackup['base']
  readonly #beganMs: number
  #copyProgress: CopyProgress = { bytesDone: 0, bytesTotal: 0, filesDone: 0, files: 0 }
  #copyBeganMs = 0
  readonly #stages: Record<StageName, number> = { startMs: 0, copyMs: 0, stopMs: 0, walMs: 0, commitMs: 0 }

  constructor(request: BackupRequest, options: BackupOptions, { session, base }: BegunBackup) {
    this.#request = request
    this.#options = options
    this.#session = session
    this.#base = base
    this.#beganMs = options.clock.monotonic()
  }

  async copy(server: ServerSession): Promise<CopiedBackup> {
    const { clock, signal } = this.#options
    this.#tell('starting')
    const startedAt = clock.wall()
    const { dataDirectory } = this.#request
    const origin = { incarnation: await readIncarnation(dataDirectory), databases: await server.databases() }
    await this.#timed('startMs', () => server.start(`holdfast ${this.#session.backup}`))
    this.#copyBeganMs = clock.monotonic()
    const parent = await this.#parent(server, origin.incarnation)
    const copied = await this.#timed('copyMs', () =>
      whileServerLives(server, { clock, signal }, (alive) =>
        copyDataDirectory({
          repository: this.#request.repository,
          session: this.#session,
          dataDirectory,
          server: server.facts,
          parent,
          workers: this.#options.workers ?? Math.min(availableParallelism(), mostWorkers),
          clock,
          onProgress: (progress) => {
            this.#copyProgress = progress
            this.#tell('copying')
          },
          signal: alive,
        }),
      ),
    )
    const stopped = await this.#timed('stopMs', () => server.stop())
    return { facts: server.facts, origin, copied, stopped, startedAt, stoppedAt: clock.wall() }
  }

  async commit(backup: CopiedBackup): Promise<BackupResult> {
    const { clock, signal, walStallMs = defaultWalStallMs } = this.#options
    const { repository, cluster } = this.#request
    this.#tell('waiting-for-wal')
    const { timeline, startLsn, stopLsn } = backup.stopped
    const needed = { cluster, timeline, startLsn, stopLsn, walSegmentBytes: backup.facts.walSegmentBytes }
    await this.#timed('walMs', () => waitForWal(repository, needed, { clock, signal, stallMs: walStallMs }))
    this.#tell('committing')
    signal?.throwIfAborted()
    const suspects = new Set(backup.copied.suspects.map((suspect) => suspect.blockKey))
    const rewritten =
      suspects.size === 0 ? suspects : await findRewrittenPages(repository, needed, suspects, { signal })
    const { content, tornPages } = describeBackup(backup, rewritten, this.#options)
    this.committing = true
    const commit = await this.#timed('commitMs', () => this.#session.commit(content))
    this.#tell('done')
    return {
      commit,
      fullReason: 'full' in this.#base ? this.#base.full : undefined,
      changedBytes: backup.copied.changedBytes,
      takenOverBytes: backup.copied.takenOverBytes,
      damagedPages: commit.facts.damagedPages,
      tornPages,
      healedPages: backup.copied.healedPages,
      skippedFiles: backup.copied.skipped,
      stages: { ...this.#stages, threads: backup.copied.figures },
    }
  }

  /** To be asked when the backup has begun in the server: what happens to a database from then on, replay does again. */
  async #parent(server: ServerSession, incarnation: string | undefined): Promise<Parent | undefined> {
    if ('full' in this.#base) return undefined
    const { manifest } = this.#base
    const { timeline } = await server.position()
    const sameIncarnation =
      this.#options.readAll !== true &&
      incarnation !== undefined &&
      manifest.origin?.incarnation === incarnation &&
      manifest.facts.timeline === timeline
    return { manifest, sameIncarnation, databases: await server.databases() }
  }

  async #timed<Result>(stage: StageName, work: () => Promise<Result>): Promise<Result> {
    const began = this.#options.clock.monotonic()
    try {
      return await work()
    } finally {
      this.#stages[stage] = Math.round(this.#options.clock.monotonic() - began)
    }
  }

  #tell(stage: BackupProgress['stage']): void {
    const now = this.#options.clock.monotonic()
    const { bytesDone, bytesTotal } = this.#copyProgress
    const etaMs = stage === 'copying' ? estimateRemaining(bytesDone, bytesTotal, now - this.#copyBeganMs) : undefined
    this.#options.onProgress?.({ stage, ...this.#copyProgress, elapsedMs: Math.round(now - this.#beganMs), etaMs })
  }
}

/**
 * What was stored stays for the next backup to take over, except where there is no room: then WAL needs it more. Where
 * this cannot be said now, it is as if the process had been killed.
 */
async function giveUp(session: BackupSession, error: unknown): Promise<void> {
  const noRoom = isFault(error, stdFaults['disk-full'])
  await withDeadline('give up an unfinished backup', giveUpDeadlineMs, undefined, (signal) =>
    noRoom ? session.abandon({ signal }) : session.interrupt({ signal }),
  ).catch(() => undefined)
}
