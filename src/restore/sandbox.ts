import { mkdtemp, rm } from 'node:fs/promises'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import type { ConnectionTarget } from '../postgres/connection-target.ts'
import type { Installation } from '../postgres/installation.ts'
import type { Repository } from '../repository/repository.ts'
import type { Clock } from '../std/clock.ts'
import { Fault } from '../std/fault.ts'
import { restoreFaults } from './faults.ts'
import type { PlannedRestore } from './plan-from-repository.ts'
import { recover } from './recover.ts'
import type { RecoveryProgress } from './recover.ts'
import { runRestore } from './run-restore.ts'
import type { RestoreProgress, RestoreResult } from './run-restore.ts'
import { holdSandbox, removeStaleSandboxes, sandboxPrefix } from './stale-sandboxes.ts'

export interface SandboxOptions {
  readonly installation: Installation
  /** Where the sandbox gets a directory of its own; it must exist and have room for the whole cluster. */
  readonly parentDirectory: string
  /** A superuser of the cluster. */
  readonly superuser: string
  /** `promote` (default) opens the copy for writing, `pause` leaves it readable at the target. */
  readonly action?: 'promote' | 'pause' | undefined
  /** Threads that decrypt and write; default one a core. */
  readonly workers?: number | undefined
  /** Parameters of the copy, such as a smaller `shared_buffers`. */
  readonly parameters?: Readonly<Record<string, string>> | undefined
  readonly clock: Clock
  readonly onProgress?: ((progress: SandboxProgress) => void) | undefined
  readonly signal?: AbortSignal | undefined
}

export type SandboxProgress =
  | { readonly step: 'files'; readonly progress: RestoreProgress }
  | { readonly step: 'recovery'; readonly progress: RecoveryProgress }

/** A restored copy that runs beside everything else and reaches nobody. Disposing it stops and removes it. */
export interface Sandbox extends AsyncDisposable {
  readonly dataDirectory: string
  /** A superuser over a private socket; no password is needed. */
  readonly connection: ConnectionTarget
  readonly files: RestoreResult
  readonly recoveryMs: number
  /** Where recovery ended, in PostgreSQL's words. */
  readonly stoppedAt: string | undefined
  /** Stops the server cleanly and leaves its files, to be looked at until the sandbox is disposed. */
  stop(): Promise<void>
}

/** The path of a unix socket in a directory of its own there must stay below 100 bytes. */
const longestScratch = 70

/**
 * Restores a plan into a directory of its own and starts it there, isolated (law L9): no archiving, replication,
 * subscriptions, preloaded libraries or network, only a private socket. What it made is gone when it is disposed and when
 * this throws; what a killed process left behind is removed by the next sandbox in the same parent directory.
 */
export async function openSandbox(
  repository: Repository,
  planned: PlannedRestore,
  options: SandboxOptions,
): Promise<Sandbox> {
  const { clock, signal, parentDirectory } = options
  await removeStaleSandboxes(parentDirectory, clock)
  await using stack = new AsyncDisposableStack()
  const directory = await mkdtemp(join(parentDirectory, sandboxPrefix))
  stack.defer(() => rm(directory, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 }))
  stack.use(await holdSandbox(directory, clock))
  const dataDirectory = join(directory, 'data')
  const files = await runRestore(repository, planned, {
    targetDirectory: dataDirectory,
    // Every tablespace lies in the sandbox, so that removing the sandbox removes them.
    tablespacesInto: join(directory, 'tablespaces'),
    workers: options.workers ?? availableParallelism(),
    clock,
    signal,
    onProgress: (progress) => options.onProgress?.({ step: 'files', progress }),
  })
  const recovered = stack.use(
    await recover(repository, planned, {
      installation: options.installation,
      dataDirectory,
      action: options.action ?? 'promote',
      superuser: options.superuser,
      parameters: options.parameters,
      scratchParent: directory.length <= longestScratch ? directory : undefined,
      clock,
      signal,
      onProgress: (progress) => options.onProgress?.({ step: 'recovery', progress }),
    }),
  )
  const { connection, stoppedAt, elapsedMs } = recovered
  if (connection === undefined) throw notRunning(dataDirectory)
  const owned = stack.move()
  return {
    dataDirectory,
    connection,
    files,
    recoveryMs: elapsedMs,
    stoppedAt,
    stop: () => recovered.stop(),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}

function notRunning(directory: string): Fault {
  return new Fault(restoreFaults['restore-recovery-failed'], `Cannot use the sandbox ${directory}: it does not run`)
}
