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
  const { tasks, source } = run
  await inTurn(run, (contender) => measureBackup(run, contender, 'full', contender.full))
  // Before the restores: a dump is restored into a database of its own on the same server, which changes catalogs.
  if (tasks.has('unchanged')) await inTurn(run, (contender) => measureIncremental(run, contender, 'unchanged'))
  await using copies = createCopies(run.directory)
  const restores = (['restore', 'delta-intact', 'delta-diverged'] as const).some((task) => tasks.has(task))
  if (restores) await inTurn(run, (contender) => measureRestores(run, contender, copies))
  if (!tasks.has('one-percent') && !tasks.has('delta-diverged')) return
  await source.changeRows()
  await inTurn(run, (contender) => measureIncremental(run, contender, 'one-percent'))
  if (!tasks.has('delta-diverged')) return
  await inTurn(run, (contender) => measureDelta(run, contender, 'delta-diverged', copies.directoryOf(contender)))
}

/** The copies that the contenders restored, one each; disposing removes them. */
interface Copies extends AsyncDisposable {
  directoryOf(contender: Contender): string
}

function createCopies(directory: string): Copies {
  const root = join(directory, 'restored')
  return {
    directoryOf: ({ name, setting }) => join(root, `${name}-${setting}`),
    [Symbol.asyncDispose]: () => rm(root, { recursive: true, force: true }),
  }
}

async function inTurn(run: TaskRun, task: (contender: Contender) => Promise<void>): Promise<void> {
  // Whoever comes first may find another machine than those after: each is first in turn.
  const order = [...run.contenders]
  const first = (run.round - 1) % order.length
  for (const contender of [...order.slice(first), ...order.slice(0, first)]) {
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
    storedBytes: contender.overwrites === true ? after : after - before,
    details,
  })
}

/** A copy that is to diverge is kept: the rows that change next are what it lacks. */
async function measureRestores(run: TaskRun, contender: Contender, copies: Copies): Promise<void> {
  const target = copies.directoryOf(contender)
  await mkdir(target, { mode: 0o700, recursive: true })
  await measureRestore(run, contender, 'restore', contender.restore(target))
  await measureDelta(run, contender, 'delta-intact', target)
  const staysForLater = run.tasks.has('delta-diverged') && contender.deltaRestore !== undefined
  if (!staysForLater) await rm(target, { recursive: true, force: true })
}

async function measureDelta(run: TaskRun, contender: Contender, task: Task, target: string): Promise<void> {
  if (contender.deltaRestore === undefined || !run.tasks.has(task)) return
  await measureRestore(run, contender, task, contender.deltaRestore(target))
}

async function measureRestore(run: TaskRun, contender: Contender, task: Task, command: Command): Promise<void> {
  const { source, signal, round } = run
  await source.settle()
  const { stdout, ...measured } = await measure(command, { signal })
  if (!run.tasks.has(task)) return
  const { name, setting } = contender
  const wallSeconds = measured.wallSeconds - (contender.beyondRestore?.(stdout) ?? 0)
  run.onSample({ task, setting, contender: name, round, ...measured, wallSeconds })
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
