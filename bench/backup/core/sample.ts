/** What is timed. Every task ends with everything that it wrote synced to disk. */
export type Task =
  | 'full'
  | 'unchanged'
  | 'one-percent'
  | 'restore'
  | 'delta-intact'
  | 'delta-diverged'
  | 'wal-archive'
  | 'wal-fetch'
  | 'recovery'

/** At `equal` all compress at the same level; at `defaults` each as it comes, but encrypted and on the same cores. */
export type Setting = 'equal' | 'defaults'

/** One timed run of one contender. */
export interface Sample {
  readonly task: Task
  readonly setting: Setting
  /** Of the contender: `holdfast`, `pgbackrest`, … */
  readonly contender: string
  /** From 1; within a round all contenders took turns. */
  readonly round: number
  readonly wallSeconds: number
  /** User and system time of the program and of everything it started and waited for. */
  readonly cpuSeconds?: number | undefined
  /** The most memory that all its processes held at one moment; PostgreSQL's own are not counted. */
  readonly peakBytes?: number | undefined
  /** What a backup added to the repository, WAL not counted. */
  readonly storedBytes?: number | undefined
  /** How many WAL segments were moved or replayed. */
  readonly segments?: number | undefined
  /** What the program itself said of its stages. */
  readonly details?: unknown
}

export type Measure = 'wallSeconds' | 'cpuSeconds' | 'storedBytes' | 'peakBytes' | 'segmentsPerSecond'

export function measureOf(sample: Sample, measure: Measure): number | undefined {
  if (measure !== 'segmentsPerSecond') return sample[measure]
  return sample.segments === undefined ? undefined : sample.segments / sample.wallSeconds
}

/** The middle value, or the mean of the two middle ones; undefined of nothing. */
export function median(values: readonly number[]): number | undefined {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = Math.floor(sorted.length / 2)
  const upper = sorted[middle]
  if (upper === undefined) return undefined
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? upper) + upper) / 2
}

export interface SampleFilter {
  readonly task: Task
  readonly setting: Setting
  readonly contender: string
}

/** The median over all rounds; undefined when it was not measured. */
export function medianOf(samples: readonly Sample[], filter: SampleFilter, measure: Measure): number | undefined {
  const matching = samples.filter(
    ({ task, setting, contender }) =>
      task === filter.task && setting === filter.setting && contender === filter.contender,
  )
  return median(matching.flatMap((sample) => measureOf(sample, measure) ?? []))
}
