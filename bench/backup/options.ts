import { availableParallelism } from 'node:os'
import { parseArgs } from 'node:util'
import type { Task } from './core/sample.ts'

const allTasks: readonly Task[] = [
  'full',
  'unchanged',
  'restore',
  'delta-intact',
  'one-percent',
  'delta-diverged',
  'wal-archive',
  'wal-fetch',
  'recovery',
]

export interface BenchmarkOptions {
  readonly runs: number
  /** Where the JSON goes; undefined: nowhere. */
  readonly json: string | undefined
  readonly scale: number
  readonly randomMegabytes: number
  readonly level: number
  /** WAL segments to archive and to fetch. */
  readonly segments: number
  /** WAL segments to replay. */
  readonly recovery: number
  readonly processes: number
  readonly tasks: ReadonlySet<Task>
  /** Undefined: all that are installed. */
  readonly peers: readonly string[] | undefined
  /** Leaves the comparison at defaults out. */
  readonly equalOnly: boolean
}

export const usage = `npm run bench -- backup [options]

  --runs N            rounds, in which all contenders take turns (default 3)
  --json FILE         every sample, ratios and missed targets
  --scale N           pgbench scale (default 150; a small one for a quick look)
  --random-mb N       megabytes of random bytes beside it (default 300)
  --segments N        WAL segments to archive and fetch (default 100)
  --recovery N        WAL segments to replay (default 200)
  --level N           zstd level at which they are compared (default 3)
  --processes N       threads or processes of each (default: the cores)
  --tasks A,B         of: ${allTasks.join(', ')} (default: all)
  --peers A,B         of: pgbackrest, pg_basebackup, pg_dump, barman (default: all that are installed)
  --equal-only        leave out the comparison at defaults`

/** Reads the words of the command line; throws an Error that says what is wrong. */
export function parseBenchmarkOptions(words: readonly string[]): BenchmarkOptions {
  const text = { type: 'string' } as const
  const { values } = parseArgs({
    args: [...words],
    options: {
      runs: text,
      json: text,
      scale: text,
      'random-mb': text,
      level: text,
      segments: text,
      recovery: text,
      processes: text,
      tasks: text,
      peers: text,
      'equal-only': { type: 'boolean' },
    },
  })
  const number = (
    name: 'runs' | 'scale' | 'random-mb' | 'level' | 'segments' | 'recovery' | 'processes',
    fallback: number,
  ): number => {
    const given = values[name]
    const value = given === undefined ? fallback : Number(given)
    if (Number.isInteger(value) && value > 0) return value
    throw new Error(`--${name} ${given}: expected a whole number above 0`)
  }
  const tasks = (values.tasks?.split(',') ?? allTasks) as readonly Task[]
  for (const task of tasks) {
    if (!allTasks.includes(task)) throw new Error(`--tasks ${task}: expected some of ${allTasks.join(', ')}`)
  }
  return {
    runs: number('runs', 3),
    json: values.json,
    scale: number('scale', 150),
    randomMegabytes: number('random-mb', 300),
    level: number('level', 3),
    segments: number('segments', 100),
    recovery: number('recovery', 200),
    processes: number('processes', availableParallelism()),
    tasks: new Set(tasks),
    peers: values.peers?.split(','),
    equalOnly: values['equal-only'] ?? false,
  }
}
