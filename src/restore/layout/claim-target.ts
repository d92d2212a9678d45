import { chmod, mkdir, readdir, rm, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { requireSystemIdentifier } from '../../postgres/control-file.ts'
import { requireStopped } from '../../postgres/server.ts'
import type { ManifestHead } from '../../repository/core/manifest.ts'
import type { Clock } from '../../std/clock.ts'
import { syncDirectory } from '../../std/durable-file.ts'
import { Fault, isFault } from '../../std/fault.ts'
import { stdFaults } from '../../std/faults.ts'
import { withProcessLock } from '../../std/process-lock.ts'
import { restoreFaults } from '../faults.ts'
import {
  incompleteMarker,
  lockName,
  lockNames,
  readRestoreNote,
  recoveryMarker,
  writeRestoreNote,
} from './restore-note.ts'
import type { RestoreNote } from './restore-note.ts'
import { controlFile } from './target-directory.ts'
import type { TargetDirectory } from './target-directory.ts'

/** What is in a directory that a restore is to fill. */
export type TargetState =
  | { readonly kind: 'empty' }
  /** A restore that did not come to its end: while it wrote files, or while it replayed WAL. */
  | { readonly kind: 'unfinished'; readonly stage: 'files' | 'recovery'; readonly note: RestoreNote }
  | { readonly kind: 'occupied'; readonly names: readonly string[] }

/** A file system made for the data has the first from the start. */
const ours: ReadonlySet<string> = new Set(['lost+found', ...lockNames])

export async function inspectTarget(directory: string): Promise<TargetState> {
  const names = await namesIn(directory)
  if (names.length === 0) return { kind: 'empty' }
  for (const [marker, stage] of [
    [incompleteMarker, 'files'],
    [recoveryMarker, 'recovery'],
  ] as const) {
    const note = names.includes(marker) ? await readRestoreNote(directory, marker) : undefined
    if (note !== undefined) return { kind: 'unfinished', stage, note }
  }
  return { kind: 'occupied', names }
}

/** Does `work` while no other restore does work in the same directory, which is made if it is not there. */
export async function withTargetLock<Result>(
  { path }: TargetDirectory,
  clock: Clock,
  work: () => Promise<Result>,
): Promise<Result> {
  await makeDirectory(path)
  const file = join(path, lockName)
  try {
    return await withProcessLock(file, { clock, deadlineMs: 0 }, async () => {
      try {
        return await work()
      } finally {
        await rm(file, { force: true })
      }
    })
  } catch (error) {
    if (!isFault(error, stdFaults['deadline-passed']) || !error.message.includes(file)) throw error
    const message = `Cannot restore into ${path}: another restore into it is running`
    throw new Fault(restoreFaults['restore-directory-in-use'], message, { details: { directory: path } })
  }
}

/**
 * Makes sure that a restore may go into the directories, marks the first as incomplete, and takes its control file away,
 * so that PostgreSQL does not start on it until the restore is complete. `existing` says that there are files which may
 * be right already. Nothing is changed when this refuses.
 */
export async function claimTarget(
  target: TargetDirectory,
  manifest: Pick<ManifestHead, 'facts'>,
  note: RestoreNote,
  options: { readonly delta: boolean },
): Promise<'fresh' | 'existing'> {
  const state = await inspectTarget(target.path)
  await requireOurs(target, manifest, state, options)
  for (const [oid, place] of target.tablespaces) {
    const known = state.kind === 'unfinished' && state.note.tablespaces[oid] === place
    if (!known && !(state.kind === 'occupied' && options.delta)) await requireEmpty(place)
  }
  for (const directory of [target.path, ...target.tablespaces.values()]) await makeDirectory(directory)
  await writeRestoreNote(target.path, incompleteMarker, note)
  if (state.kind === 'empty') return 'fresh'
  await rm(join(target.path, controlFile), { force: true })
  await syncDirectory(join(target.path, dirname(controlFile))).catch(ignoreMissing)
  await rm(join(target.path, recoveryMarker), { force: true })
  return 'existing'
}

async function requireOurs(
  { path }: TargetDirectory,
  { facts }: Pick<ManifestHead, 'facts'>,
  state: TargetState,
  { delta }: { readonly delta: boolean },
): Promise<void> {
  if (state.kind === 'empty') return
  await requireStopped(path)
  if (state.kind === 'unfinished') {
    if (state.note.systemIdentifier === String(facts.systemIdentifier)) return
    throw notEmpty(path, 'it holds an unfinished restore of another cluster')
  }
  if (!delta) throw notEmpty(path, `it holds ${state.names.slice(0, 3).join(', ')}`)
  await requireSystemIdentifier(path, facts.systemIdentifier)
}

/** Throws `restore-incomplete` when a directory holds a restore whose files are not complete. */
export async function requireComplete(directory: string): Promise<void> {
  const names = await readdir(directory)
  if (!names.includes(incompleteMarker)) return
  throw new Fault(
    restoreFaults['restore-incomplete'],
    `Cannot recover ${directory}: the restore into it did not come to its end`,
    { details: { directory } },
  )
}

async function requireEmpty(directory: string): Promise<void> {
  const names = await namesIn(directory)
  if (names.length > 0) throw notEmpty(directory, `it holds ${names.slice(0, 3).join(', ')}`)
}

async function namesIn(directory: string): Promise<readonly string[]> {
  const names = await readdir(directory).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return []
    throw notEmpty(directory, `it cannot be listed (${error.code ?? error.message})`, error)
  })
  return names.filter((name) => !ours.has(name))
}

/** PostgreSQL starts only on directories of its own user, and with modes that it knows. */
async function makeDirectory(directory: string): Promise<void> {
  try {
    await mkdir(directory, { recursive: true, mode: 0o700 })
    const { uid, mode } = await stat(directory)
    if (uid !== process.getuid?.()) throw notOwned(directory, uid)
    if ((mode & 0o777) !== 0o700 && (mode & 0o777) !== 0o750) await chmod(directory, 0o700)
  } catch (error) {
    if (error instanceof Fault) throw error
    const message = `Cannot restore into ${directory}: it cannot be made (${(error as Error).message})`
    throw new Fault(restoreFaults['restore-write-failed'], message, { cause: error, details: { directory } })
  }
}

function notOwned(directory: string, uid: number): Fault {
  return new Fault(
    restoreFaults['restore-directory-not-owned'],
    `Cannot restore into ${directory}: it belongs to user ${uid}, this is user ${process.getuid?.()}`,
    { details: { directory, uid } },
  )
}

function notEmpty(directory: string, reason: string, cause?: unknown): Fault {
  return new Fault(restoreFaults['restore-directory-not-empty'], `Cannot restore into ${directory}: ${reason}`, {
    cause,
    details: { directory },
  })
}

function ignoreMissing(error: unknown): void {
  if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
}
