import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Sample, Task } from './core/sample.ts'

export interface WalRun {
  readonly directory: string
  readonly tasks: ReadonlySet<Task>
  readonly runs: number
  /** Of WAL that is archived and fetched. */
  readonly segments: number
  /** Of WAL that is replayed. */
  readonly recovery: number
  readonly onSample: (sample: Sample) => void
  readonly signal: AbortSignal
}

export const walTasks: readonly Task[] = ['wal-archive', 'wal-fetch', 'recovery']

/** What `bench/wal.ts` writes: segments a second, and seconds of recovery, run by run. */
interface WalReport {
  readonly samples: Readonly<
    Record<
      string,
      { readonly push: readonly number[]; readonly fetch: readonly number[]; readonly recovery: readonly number[] }
    >
  >
}

const contenders: Readonly<Record<string, string>> = {
  cp: 'cp',
  holdfast: 'holdfast',
  'holdfast restore': 'holdfast-restore',
  pgBackRest: 'pgbackrest',
  'pgBackRest asynchronous': 'pgbackrest-async',
}

/** WAL into the repository, out of it, and replayed, beside `cp` and both ways of pgBackRest: `bench/wal.ts`. */
export async function measureWal(run: WalRun): Promise<void> {
  if (!walTasks.some((task) => run.tasks.has(task))) return
  const json = join(run.directory, 'wal.json')
  const recovery = run.tasks.has('recovery') ? run.recovery : 0
  const words = ['--segments', run.segments, '--recovery', recovery, '--runs', run.runs, '--json', json].map(String)
  const child = spawn(process.execPath, [join(import.meta.dirname, '..', 'wal.ts'), ...words], {
    stdio: ['ignore', 'ignore', 'inherit'],
    env: { ...process.env, TMPDIR: run.directory, HOLDFAST_SCRATCH: undefined },
  })
  const stop = (): void => void child.kill('SIGTERM')
  run.signal.addEventListener('abort', stop, { once: true })
  const [code] = (await once(child, 'close')) as [number | null]
  run.signal.removeEventListener('abort', stop)
  run.signal.throwIfAborted()
  if (code !== 0) throw new Error(`bench/wal.ts ended with ${code}`)
  const { samples } = JSON.parse(await readFile(json, 'utf8')) as WalReport
  for (const sample of walSamples(samples, run)) run.onSample(sample)
}

function walSamples(
  measured: WalReport['samples'],
  { tasks, segments, recovery }: Pick<WalRun, 'tasks' | 'segments' | 'recovery'>,
): Sample[] {
  return Object.entries(measured).flatMap(([way, { push, fetch, recovery: replayed }]) => {
    const common = { setting: 'equal', contender: contenders[way] ?? way } as const
    const moved = (task: Task) => (perSecond: number, index: number) => ({
      ...common,
      task,
      round: index + 1,
      wallSeconds: segments / perSecond,
      segments,
    })
    const all: Sample[] = [
      ...push.map(moved('wal-archive')),
      ...fetch.map(moved('wal-fetch')),
      ...replayed.map((wallSeconds, index) => ({
        ...common,
        task: 'recovery' as const,
        round: index + 1,
        wallSeconds,
        segments: recovery,
      })),
    ]
    return all.filter(({ task }) => tasks.has(task))
  })
}
