import { formatTable } from '../../../src/cli/terminal/table.ts'
import type { Sample, Setting, Task } from './sample.ts'
import { medianOf, type SampleFilter } from './sample.ts'
import { judge, type Verdict } from './targets.ts'

/** Everything about a run that is not a sample. */
export interface RunFacts {
  readonly startedAt: string
  readonly machine: {
    readonly processor: string
    readonly cores: number
    readonly memoryBytes: number
    readonly system: string
    /** Load average when it began: on a busy machine only ratios and CPU seconds tell something. */
    readonly loadBefore: number
  }
  readonly versions: Readonly<Record<string, string>>
  readonly data: { readonly scale: number; readonly randomMegabytes: number; readonly clusterBytes: number }
  readonly runs: number
  readonly level: number
  readonly contenders: readonly { readonly name: string; readonly setting: Setting; readonly about: string }[]
  readonly missing: readonly { readonly peer: string; readonly because: string }[]
}

export interface Report extends RunFacts {
  readonly format: 1
  readonly samples: readonly Sample[]
  readonly ratios: readonly Verdict[]
  readonly fallsShort: readonly string[]
  /** Targets of which nothing is claimed, since they or their peer were not measured. */
  readonly notMeasured: readonly string[]
}

export function report(facts: RunFacts, samples: readonly Sample[]): Report {
  const ratios = judge(samples)
  const named = (outcome: Verdict['outcome']): string[] =>
    ratios.filter((verdict) => verdict.outcome === outcome).map(({ target }) => target)
  return { format: 1, ...facts, samples, ratios, fallsShort: named('missed'), notMeasured: named('unmeasured') }
}

const taskTitles: Readonly<Record<Task, string>> = {
  full: 'full backup',
  unchanged: 'incremental, nothing changed',
  'one-percent': 'incremental, 1 % random rows',
  restore: 'restore to empty',
  'delta-intact': 'delta restore, intact',
  'delta-diverged': 'delta restore, 1 % diverged',
  'wal-archive': 'WAL archived',
  'wal-fetch': 'WAL fetched',
  recovery: 'recovery of archived WAL',
}

const settingTitles: Readonly<Record<Setting, string>> = {
  equal: 'At equal level',
  defaults: 'At defaults (encrypted, same cores)',
}

/** The tables for a terminal. */
export function renderReport(result: Report): string {
  const { machine, data, versions, contenders } = result
  const known = Object.entries(versions).map(([name, version]) => `${name} ${version}`)
  return [
    `${(data.clusterBytes / 1e9).toFixed(2)} GB (pgbench scale ${data.scale}, ${data.randomMegabytes} MB random), ${result.runs} runs, ${machine.cores} cores of ${machine.processor}, load ${machine.loadBefore.toFixed(1)} before`,
    known.join(', '),
    ...result.missing.map(({ peer, because }) => `not measured: ${peer}: ${because}`),
    ...(['equal', 'defaults'] as const).flatMap((setting) => {
      const those = contenders.filter((contender) => contender.setting === setting)
      const rows = Object.keys(taskTitles).flatMap((task) => taskRows(result, setting, task as Task))
      if (rows.length === 0) return []
      const about = those.map((contender) => `  ${contender.name}: ${contender.about}`)
      const header = ['task', 'by', 'wall s', 'CPU s', 'stored MB', 'peak MB', 'segments/s']
      return ['', settingTitles[setting], ...about, formatTable(header, rows, [2, 3, 4, 5, 6])]
    }),
    '',
    formatTable(
      ['target', 'measured', 'wanted', ''],
      result.ratios.map(({ target, value, wanted, outcome }) => [target, describeValue(value), wanted, outcome]),
      [1],
    ),
  ].join('\n')
}

function taskRows({ samples }: Report, setting: Setting, task: Task): string[][] {
  const names = new Set(
    samples.filter((sample) => sample.task === task && sample.setting === setting).map(({ contender }) => contender),
  )
  return [...names].map((contender, index) => {
    const filter: SampleFilter = { task, setting, contender }
    const cell = (measure: Parameters<typeof medianOf>[2], unit: number, digits: number): string => {
      const value = medianOf(samples, filter, measure)
      return value === undefined ? '' : (value / unit).toFixed(digits)
    }
    return [
      index === 0 ? taskTitles[task] : '',
      contender,
      cell('wallSeconds', 1, 2),
      cell('cpuSeconds', 1, 2),
      cell('storedBytes', 1e6, 1),
      cell('peakBytes', 1e6, 0),
      cell('segmentsPerSecond', 1, 1),
    ]
  })
}

function describeValue(value: number | undefined): string {
  if (value === undefined) return ''
  return value > 1e6 ? `${(value / 1e6).toFixed(0)} MB` : value.toFixed(2)
}
