import { lstat, mkdir, readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { measure, type Command } from '../measure/measure.ts'
import type { Contender } from './contender.ts'
import type { Sample, Task } from './core/sample.ts'
import type { SourceServer } from './source-server.ts'

export interface TaskRun {
  readonly source: SourceServer
  /** Those that are still in it. */
  readonly contenders: Set<Contender>
  /** Where restored copies go, one at a time. */
  readonly directory: string
  readonly tasks: ReadonlySet<Task>
  readonly round: number
  readonly onSample: (sample: Sample) => void
  readonly onFailure: (contender: Contender, error: unknown) => void
  readonly signal: AbortSignal
}

/**
 * One round: each contender does a task, one after the other, before any does the next. The incremental ones build on
 * the full backup of the same round, so that every round measures the same. A peer that fails is left out from then on.
 */
export async function measureRound(run: TaskRun): Promise<void> {
  await inTurn(run, (contender) => measureBackup(run, contender, 'full', contender.full))
  // Before the restores: a dump is restored into a database of its own on the same server, which changes catalogs.
  if (run.tasks.has('unchanged')) await inTurn(run, (contender) => measureIncremental(run, contender, 'unchanged'))
  if (run.tasks.has('restore')) await inTurn(run, (contender) => measureRestore(run, contender))
  if (!run.tasks.has('one-percent')) return
  await run.source.changeRows()
  await inTurn(run, (contender) => measureIncremental(run, contender, 'one-percent'))
}

async function inTurn(run: TaskRun, task: (contender: Contender) => Promise<void>): Promise<void> {
  for (const contender of run.contenders) {
    try {
      await task(contender)
    } catch (error) {
      run.signal.throwIfAborted()
      if (contender.name === 'holdfast') throw error
      run.contenders.delete(contender)
      run.onFailure(contender, error)
    }
  }
}

async function measureIncremental(run: TaskRun, contender: Contender, task: Task): Promise<void> {
  if (contender.incremental !== undefined) await measureBackup(run, contender, task, contender.incremental)
}

/** A full backup is taken also where it is not wanted as a figure: the others need it. */
async function measureBackup(run: TaskRun, contender: Contender, task: Task, command: Command): Promise<void> {
  const { source, signal } = run
  await using archiving = await contender.archive()
  void archiving
  await source.settle()
  const before = await sizeOf(contender.backupDirectory)
  const { stdout, ...measured } = await measure(command, { signal })
  const after = await sizeOf(contender.backupDirectory)
  if (!run.tasks.has(task)) return
  const { name, setting } = contender
  const details = stagesOf(stdout)
  run.onSample({
    task,
    setting,
    contender: name,
    round: run.round,
    ...measured,
    // A pipeline writes the same file again.
    storedBytes: contender.incremental === undefined ? after : after - before,
    details,
  })
}

async function measureRestore(run: TaskRun, contender: Contender): Promise<void> {
  const { source, signal } = run
  const target = join(run.directory, 'restored')
  await mkdir(target, { mode: 0o700 })
  try {
    await source.settle()
    const { stdout, ...measured } = await measure(contender.restore(target), { signal })
    const { name, setting } = contender
    const wallSeconds = measured.wallSeconds - (contender.beyondRestore?.(stdout) ?? 0)
    run.onSample({ task: 'restore', setting, contender: name, round: run.round, ...measured, wallSeconds })
  } finally {
    await rm(target, { recursive: true, force: true })
  }
}

/** What Holdfast says of where its time went. */
function stagesOf(stdout: string): unknown {
  if (!stdout.startsWith('{')) return undefined
  return (JSON.parse(stdout) as { readonly stages?: unknown }).stages
}

/** The bytes of all files below a directory; 0 where there is none. */
export async function sizeOf(directory: string): Promise<number> {
  const entries = await readdir(directory, { withFileTypes: true, recursive: true }).catch(() => [])
  let bytes = 0
  for (const entry of entries) if (entry.isFile()) bytes += (await lstat(join(entry.parentPath, entry.name))).size
  return bytes
}
