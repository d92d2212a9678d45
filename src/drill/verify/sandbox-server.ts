import { mkdir, statfs } from 'node:fs/promises'
import type { ConnectionTarget } from '../../postgres/connection-target.ts'
import { postgresFaults } from '../../postgres/faults.ts'
import type { Installation } from '../../postgres/installation.ts'
import type { Commit } from '../../repository/core/commit.ts'
import type { Repository } from '../../repository/repository.ts'
import type { RecoveryTarget } from '../../restore/core/target.ts'
import { restoreFaults } from '../../restore/faults.ts'
import type { PlannedRestore } from '../../restore/plan-from-repository.ts'
import { recover } from '../../restore/recover.ts'
import { openSandbox, type Sandbox, type SandboxProgress } from '../../restore/sandbox.ts'
import { describeBytes } from '../../std/byte-size.ts'
import type { Clock } from '../../std/clock.ts'
import { Fault, type FaultKind } from '../../std/fault.ts'
import { stdFaults } from '../../std/faults.ts'
import { verifyFaults } from './faults.ts'

export interface SandboxRequest {
  /** A PostgreSQL of the backup's major release. */
  readonly installation: Installation
  /** Where the copy gets a directory of its own; made when it is not there. */
  readonly directory: string
  readonly superuser: string
}

export interface SandboxRunOptions {
  readonly clock: Clock
  readonly signal?: AbortSignal | undefined
  readonly onBytes?: ((what: string, done: number, total: number) => void) | undefined
}

/** The restored copy, first paused between two commits where that is asked for, then opened at the end of its WAL. */
export interface SandboxServer extends AsyncDisposable {
  readonly dataDirectory: string
  readonly restoredBytes: number
  readonly restoreMs: number
  /** Where the last recovery ended, in PostgreSQL's words. */
  readonly stoppedAt: () => string | undefined
  readonly connection: () => ConnectionTarget
  /** Goes on from a pause to the end of the planned WAL, and opens the copy for writing. */
  readonly goOn: (planned: PlannedRestore) => Promise<number>
  readonly recoveryMs: number
  readonly stop: () => Promise<void>
}

/** A plan with another target: all of its WAL is at hand in any case. */
export function aimAt(planned: PlannedRestore, target: RecoveryTarget): PlannedRestore {
  return { ...planned, plan: { ...planned.plan, target } }
}

/** Restores into a sandbox (law L9; see `restore/sandbox.ts`) and recovers to the plan's target. */
export async function openSandboxServer(
  repository: Repository,
  planned: PlannedRestore,
  request: SandboxRequest & { readonly action: 'pause' | 'promote' },
  options: SandboxRunOptions,
): Promise<SandboxServer> {
  const { installation, directory, superuser, action } = request
  const { clock, signal } = options
  const common = { installation, superuser, parameters: copyParameters(planned), clock, signal }
  const sandbox = await openSandbox(repository, planned, {
    ...common,
    parentDirectory: directory,
    action,
    onProgress: (progress) => tell(progress, options),
  })
  let current: Pick<Sandbox, 'connection' | 'stoppedAt' | 'stop'> = sandbox
  await using stack = new AsyncDisposableStack()
  stack.use(sandbox)
  const owned = stack.move()
  return {
    dataDirectory: sandbox.dataDirectory,
    restoredBytes: sandbox.files.bytes,
    restoreMs: sandbox.files.elapsedMs,
    recoveryMs: sandbox.recoveryMs,
    stoppedAt: () => current.stoppedAt,
    connection: () => current.connection,
    goOn: async (further) => {
      await sandbox.stop()
      const recovered = await recover(repository, further, {
        ...common,
        dataDirectory: sandbox.dataDirectory,
        action: 'promote',
        onProgress: (progress) => tell({ step: 'recovery', progress }, options),
      })
      owned.use(recovered)
      const { connection } = recovered
      if (connection === undefined) throw new Error('a promoted server has no connection')
      current = { connection, stoppedAt: recovered.stoppedAt, stop: () => recovered.stop() }
      return recovered.elapsedMs
    },
    stop: () => current.stop(),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}

function tell(progress: SandboxProgress, { onBytes }: SandboxRunOptions): void {
  const { bytesDone, bytesTotal } = progress.progress
  onBytes?.(progress.step === 'files' ? 'restoring' : 'replaying WAL', bytesDone, bytesTotal)
}

/**
 * What the copy is run with, whatever the original's configuration says: little memory, nothing by itself, no syncs, which
 * nobody needs of a copy that is thrown away, and above all no setting that hides damage.
 */
function copyParameters({ plan }: PlannedRestore): Readonly<Record<string, string>> {
  const segmentMegabytes = plan.segmentBytes / 2 ** 20
  return {
    shared_buffers: '64MB',
    work_mem: '16MB',
    maintenance_work_mem: '64MB',
    autovacuum: 'off',
    fsync: 'off',
    jit: 'off',
    zero_damaged_pages: 'off',
    ignore_checksum_failure: 'off',
    ignore_invalid_pages: 'off',
    restart_after_crash: 'off',
    min_wal_size: `${2 * segmentMegabytes}MB`,
    max_wal_size: `${segmentsAside * segmentMegabytes}MB`,
  }
}

/** WAL that lies in the copy at a time, and beside it for recovery to fetch. */
const segmentsAside = 16

/** Why there is no room for the copy; undefined when there is. Throws `verify-directory-unusable`. */
export async function lackOfRoom(directory: string, { facts }: Commit): Promise<string | undefined> {
  try {
    await mkdir(directory, { recursive: true, mode: 0o700 })
    const { bavail, bsize } = await statfs(directory)
    const free = bavail * bsize
    const needed = Math.ceil(facts.dataBytes * 1.05) + 2 * segmentsAside * facts.walSegmentBytes
    if (free >= needed) return undefined
    return `the copy needs ${describeBytes(needed)}, and ${directory} has ${describeBytes(free)} left`
  } catch (error) {
    const reason = (error as NodeJS.ErrnoException).code ?? String(error)
    throw new Fault(verifyFaults['verify-directory-unusable'], `Cannot restore into ${directory}: ${reason}`, {
      cause: error,
      details: { directory },
    })
  }
}

/** Faults that say something of this machine, and nothing of the backup. */
const ofThisMachine: readonly FaultKind[] = [
  stdFaults['disk-full'],
  postgresFaults['postgres-not-found'],
  postgresFaults['postgres-embedded-unusable'],
  postgresFaults['postgres-wrong-major'],
  restoreFaults['restore-write-failed'],
  restoreFaults['restore-worker-failed'],
  restoreFaults['restore-tablespace-in-wal'],
]

/**
 * What the failure of a restore says: `failed` that the backup cannot be restored, `skipped` that it could not be tried
 * here. What says neither, as a store that does not answer, is thrown.
 */
export function judgeFailure(error: unknown): { readonly outcome: 'failed' | 'skipped'; readonly fault: Fault } {
  if (!(error instanceof Fault)) throw error
  const { exitClass } = error.kind
  if (exitClass === 'unreachable' || exitClass === 'interrupted' || exitClass === 'busy') throw error
  const here = ofThisMachine.some(({ code }) => code === error.code)
  return { outcome: here ? 'skipped' : 'failed', fault: error }
}
