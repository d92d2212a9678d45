import { measureOf, medianOf, type Measure, type Sample, type Task } from './sample.ts'

/** One line of the table that Holdfast has to reach, always at equal level and with the figures of the same run. */
export interface Target {
  readonly name: string
  readonly task: Task
  readonly measure: Measure
  /** Against the best of these that was measured; a limit without them is an amount. */
  readonly against: readonly string[]
  /**
   * `times`: so many times better than they, at least. `share`: at most so much of what they need. `amount`: at most so
   * much, over every task.
   */
  readonly wanted:
    | { readonly kind: 'times'; readonly atLeast: number }
    | { readonly kind: 'share'; readonly atMost: number }
    | { readonly kind: 'amount'; readonly atMost: number }
}

const pgBackRest = ['pgbackrest']
const eitherMode = ['pgbackrest', 'pgbackrest-async']
const times = (atLeast: number): Target['wanted'] => ({ kind: 'times', atLeast })
const share = (atMost: number): Target['wanted'] => ({ kind: 'share', atMost })

export const targets: readonly Target[] = [
  { name: 'full backup, wall', task: 'full', measure: 'wallSeconds', against: pgBackRest, wanted: times(1.5) },
  { name: 'full backup, CPU', task: 'full', measure: 'cpuSeconds', against: pgBackRest, wanted: times(1.5) },
  { name: 'full backup, bytes', task: 'full', measure: 'storedBytes', against: pgBackRest, wanted: share(1) },
  { name: 'nothing changed, wall', task: 'unchanged', measure: 'wallSeconds', against: pgBackRest, wanted: times(1) },
  {
    name: '1 % random rows, wall',
    task: 'one-percent',
    measure: 'wallSeconds',
    against: pgBackRest,
    wanted: times(2.5),
  },
  {
    name: '1 % random rows, bytes',
    task: 'one-percent',
    measure: 'storedBytes',
    against: pgBackRest,
    wanted: share(0.6),
  },
  { name: 'restore to empty, wall', task: 'restore', measure: 'wallSeconds', against: pgBackRest, wanted: times(1.3) },
  {
    name: 'delta restore intact, wall',
    task: 'delta-intact',
    measure: 'wallSeconds',
    against: pgBackRest,
    wanted: times(1),
  },
  {
    name: 'delta restore 1 % diverged, wall',
    task: 'delta-diverged',
    measure: 'wallSeconds',
    against: pgBackRest,
    wanted: times(1.5),
  },
  {
    name: 'WAL archived, segments/s',
    task: 'wal-archive',
    measure: 'segmentsPerSecond',
    against: eitherMode,
    wanted: times(2),
  },
  {
    name: 'WAL fetched, segments/s',
    task: 'wal-fetch',
    measure: 'segmentsPerSecond',
    against: eitherMode,
    wanted: times(2),
  },
  { name: 'recovery, wall against cp', task: 'recovery', measure: 'wallSeconds', against: ['cp'], wanted: share(1.05) },
  { name: 'peak memory', task: 'full', measure: 'peakBytes', against: [], wanted: { kind: 'amount', atMost: 400e6 } },
]

export interface Verdict {
  readonly target: string
  readonly ours: number | undefined
  readonly theirs: number | undefined
  /** Theirs by ours for `times`, ours by theirs for `share`, ours for `amount`. */
  readonly value: number | undefined
  readonly wanted: string
  /** `unmeasured`: one of the two was not run, so nothing is claimed. */
  readonly outcome: 'reached' | 'missed' | 'unmeasured'
}

export function judge(samples: readonly Sample[], wanted: readonly Target[] = targets): Verdict[] {
  return wanted.map((target) => judgeOne(samples, target))
}

function judgeOne(samples: readonly Sample[], target: Target): Verdict {
  const ours = target.wanted.kind === 'amount' ? highest(samples, target) : oursOf(samples, target)
  const theirs = bestOfTheirs(samples, target)
  const value = valueOf(target, ours, theirs)
  const verdict = { target: target.name, ours, theirs, value, wanted: describeWanted(target) }
  if (value === undefined) return { ...verdict, outcome: 'unmeasured' }
  const reached = target.wanted.kind === 'times' ? value >= target.wanted.atLeast : value <= target.wanted.atMost
  return { ...verdict, outcome: reached ? 'reached' : 'missed' }
}

/** More is better of a speed, less of everything else. */
function better(measure: Measure, values: readonly number[]): number | undefined {
  if (values.length === 0) return undefined
  return measure === 'segmentsPerSecond' ? Math.max(...values) : Math.min(...values)
}

const ourModes = ['holdfast', 'holdfast-restore']

/** Where Holdfast has several ways, the better one counts, as with them. */
function oursOf(samples: readonly Sample[], { task, measure }: Target): number | undefined {
  return best(samples, { task, measure, contenders: ourModes })
}

function bestOfTheirs(samples: readonly Sample[], { task, measure, against }: Target): number | undefined {
  return best(samples, { task, measure, contenders: against })
}

function best(
  samples: readonly Sample[],
  {
    task,
    measure,
    contenders,
  }: { readonly task: Task; readonly measure: Measure; readonly contenders: readonly string[] },
): number | undefined {
  const medians = contenders.flatMap(
    (contender) => medianOf(samples, { task, setting: 'equal', contender }, measure) ?? [],
  )
  return better(measure, medians)
}

/** The highest of any task, at any setting and in any round. */
function highest(samples: readonly Sample[], { measure }: Target): number | undefined {
  const own = samples.filter(({ contender }) => ourModes.includes(contender))
  const values = own.flatMap((sample) => measureOf(sample, measure) ?? [])
  return values.length === 0 ? undefined : Math.max(...values)
}

function valueOf(target: Target, ours: number | undefined, theirs: number | undefined): number | undefined {
  if (ours === undefined) return undefined
  if (target.wanted.kind === 'amount') return ours
  if (theirs === undefined) return undefined
  const oursByTheirs = ours / theirs
  if (target.wanted.kind === 'share') return oursByTheirs
  return target.measure === 'segmentsPerSecond' ? oursByTheirs : 1 / oursByTheirs
}

function describeWanted({ wanted }: Target): string {
  switch (wanted.kind) {
    case 'times':
      return `≥ ${wanted.atLeast}`
    case 'share':
      return `≤ ${wanted.atMost}`
    case 'amount':
      return `≤ ${wanted.atMost / 1e6} MB`
    default:
      return wanted satisfies never
  }
}
