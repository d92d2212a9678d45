import type { Config } from '../../config/schema.ts'
import type { JobOrder } from '../../schedule/core/ledger.ts'
import type { Job, JobSchedule } from '../../schedule/job.ts'
import { formatDuration } from '../../std/duration.ts'

type JobName = 'backup' | 'expire' | 'dump' | 'verify' | 'keyTest'

/** The jobs of a configuration, in the order in which they are shown; none where there is no repository. */
export function configuredJobs(config: Config): readonly Job[] {
  const [first] = config.repositories
  if (first === undefined) return []
  const { backup, expire, verify, runBy } = config.schedules
  return [
    {
      name: 'backup',
      schedule: scheduleOf(config, 'backup'),
      runBy,
      firstFor: backup.atOnce ? first.name : null,
      followsBackup: false,
      arguments: (order) => ['backup', ...backupOptions(config, order)],
      sizeOf: (document) => sizeAt(document, 'backup', 'storedBytes'),
    },
    {
      name: 'expire',
      schedule: scheduleOf(config, 'expire'),
      runBy,
      firstFor: null,
      followsBackup: expire.at === 'after-backup',
      arguments: () => ['expire'],
      sizeOf: (document) => sumOf(document, 'removedBytes'),
    },
    {
      name: 'dump',
      schedule: scheduleOf(config, 'dump'),
      runBy,
      firstFor: null,
      followsBackup: false,
      arguments: () => ['dump'],
      sizeOf: (document) => sumOf(fieldOf(document, 'dumps'), 'sizeBytes'),
    },
    {
      name: 'verify',
      schedule: scheduleOf(config, 'verify'),
      runBy,
      firstFor: null,
      followsBackup: false,
      arguments: () => ['verify', '--level', String(verify.level)],
      sizeOf: () => null,
    },
    {
      name: 'keyTest',
      schedule: scheduleOf(config, 'keyTest'),
      runBy,
      firstFor: null,
      followsBackup: false,
      arguments: () => ['keys', 'test'],
      sizeOf: () => null,
    },
  ]
}

function scheduleOf(config: Config, name: JobName): JobSchedule | null {
  const { at, timeZone, jitter, makeUpWithin } = config.schedules[name]
  if (at === 'off' || at === 'after-backup') return null
  return {
    expression: at,
    timeZone: timeZone ?? config.schedules.timeZone,
    jitterMs: jitter.ms,
    makeUpWithinMs: makeUpWithin.ms,
  }
}

function backupOptions({ schedules }: Config, { cause }: JobOrder): readonly string[] {
  if (cause === 'first') return ['--if-none']
  const { fullEvery } = schedules.backup
  return fullEvery === 'off' ? [] : ['--full-after', formatDuration(fullEvery)]
}

function fieldOf(document: unknown, field: string): unknown {
  return typeof document === 'object' && document !== null ? (document as Record<string, unknown>)[field] : undefined
}

function sizeAt(document: unknown, ...path: readonly string[]): number | null {
  const value = path.reduce(fieldOf, document)
  return typeof value === 'number' ? value : null
}

function sumOf(documents: unknown, field: string): number | null {
  if (!Array.isArray(documents)) return null
  return documents.reduce((sum: number, document: unknown) => sum + (sizeAt(document, field) ?? 0), 0)
}
