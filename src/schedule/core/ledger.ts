import { readJson, toJson } from '../../cluster/core/json-reader.ts'
import type { JsonReader } from '../../cluster/core/json-reader.ts'
import type { EpochMs } from '../../std/clock.ts'

/**
 * What has become of the jobs of a cluster: one entry in the coordinator, read and written by whoever leads, so that it
 * outlives leaders. Small, since every list in it is bounded.
 */
export type Ledger = Readonly<Record<string, JobLedger>>

export interface JobLedger {
  /** What the schedule was when this was written: moments of another one are nobody's debt. */
  readonly schedule: string | null
  /** Every moment up to here has been run, is being run or tried again, or was reported missed. */
  readonly settledTo: EpochMs
  readonly running: RunningJob | null
  /** A run that did not come to a good end and is tried again. */
  readonly retry: Retry | null
  /** A run outside the schedule that has been asked for. */
  readonly wanted: { readonly cause: JobCause; readonly since: EpochMs } | null
  /** The repository for which the first run has been asked for. */
  readonly firstFor: string | null
  /** Gaps that a run has been asked for, newest last. */
  readonly gaps: readonly string[]
  /** Newest first. */
  readonly runs: readonly JobRun[]
  /** Newest first. */
  readonly missed: readonly MissedMoments[]
}

/** Why a run is begun: its moment came; there was none before; WAL is missing; a backup has ended; somebody asked. */
export const jobCauses = ['schedule', 'first', 'gap', 'after-backup', 'command'] as const
export type JobCause = (typeof jobCauses)[number]

export interface JobOrder {
  readonly cause: JobCause
  /** The moment of the schedule; null outside of it. */
  readonly moment: EpochMs | null
  /** 1 for the first try. */
  readonly attempt: number
}

export interface RunningJob extends JobOrder {
  readonly startedAt: EpochMs
  readonly node: string
  /** The life of the process that runs it: another one of the same node knows nothing of the run any more. */
  readonly runner: string
  /** Of a run that `holdfast schedule run` does: when it last said that it goes on. Null: the leader's agent does it. */
  readonly seenAt: EpochMs | null
}

export const runOutcomes = ['ok', 'degraded', 'failed', 'interrupted'] as const
export type RunOutcome = (typeof runOutcomes)[number]

export interface JobRun extends JobOrder {
  readonly startedAt: EpochMs
  readonly durationMs: number
  readonly node: string
  readonly outcome: RunOutcome
  /** Null when it did not end by itself. */
  readonly exitCode: number | null
  /** Stored by a backup or a dump, removed by an expiry; null when that is not known. */
  readonly sizeBytes: number | null
  /** One line; null when all went well. */
  readonly error: string | null
}

export interface Retry extends JobOrder {
  readonly notBefore: EpochMs
  readonly lastOutcome: RunOutcome
}

/** Why moments were not run: nobody could until it was too late; a later one was run instead; every try was cut short. */
export const missedReasons = ['too-late', 'superseded', 'interrupted'] as const

export interface MissedMoments {
  readonly from: EpochMs
  readonly to: EpochMs
  readonly count: number
  /** False when there were more than were counted. */
  readonly exact: boolean
  readonly because: (typeof missedReasons)[number]
  readonly reportedAt: EpochMs
}

export const keptRuns = 10
export const keptMissed = 10
export const keptGaps = 50
const longestError = 300

export function freshLedger(now: EpochMs, schedule: string | null): JobLedger {
  return {
    schedule,
    settledTo: now,
    running: null,
    retry: null,
    wanted: null,
    firstFor: null,
    gaps: [],
    runs: [],
    missed: [],
  }
}

/** One line of bounded length. */
export function errorLine(text: string): string {
  const line = text.trim().replaceAll(/\s*\n\s*/g, ' ')
  return line.length <= longestError ? line : `${line.slice(0, longestError - 1)}…`
}

export function encodeLedger(ledger: Ledger): string {
  return toJson({ jobs: ledger })
}

/** Throws `MalformedValue`. */
export function decodeLedger(json: string): Ledger {
  const jobs = readJson('jobs', json).object('jobs')
  return Object.fromEntries(jobs.keys().map((name) => [name, decodeJob(jobs.object(name))]))
}

function decodeJob(read: JsonReader): JobLedger {
  const running = read.objectOrNull('running')
  const retry = read.objectOrNull('retry')
  const wanted = read.objectOrNull('wanted')
  return {
    schedule: read.textOrNull('schedule'),
    settledTo: read.number('settledTo') as EpochMs,
    running: running && {
      ...decodeOrder(running),
      startedAt: running.number('startedAt') as EpochMs,
      node: running.text('node'),
      runner: running.text('runner'),
      seenAt: running.numberOrNull('seenAt') as EpochMs | null,
    },
    retry: retry && {
      ...decodeOrder(retry),
      notBefore: retry.number('notBefore') as EpochMs,
      lastOutcome: retry.oneOf('lastOutcome', runOutcomes),
    },
    wanted: wanted && { cause: wanted.oneOf('cause', jobCauses), since: wanted.number('since') as EpochMs },
    firstFor: read.textOrNull('firstFor'),
    gaps: read.texts('gaps'),
    runs: read.objects('runs').map(decodeRun),
    missed: read.objects('missed').map((missed) => ({
      from: missed.number('from') as EpochMs,
      to: missed.number('to') as EpochMs,
      count: missed.wholeNumber('count'),
      exact: missed.flag('exact'),
      because: missed.oneOf('because', missedReasons),
      reportedAt: missed.number('reportedAt') as EpochMs,
    })),
  }
}

function decodeOrder(read: JsonReader): JobOrder {
  return {
    cause: read.oneOf('cause', jobCauses),
    moment: read.numberOrNull('moment') as EpochMs | null,
    attempt: read.wholeNumber('attempt'),
  }
}

function decodeRun(read: JsonReader): JobRun {
  return {
    ...decodeOrder(read),
    startedAt: read.number('startedAt') as EpochMs,
    durationMs: read.number('durationMs'),
    node: read.text('node'),
    outcome: read.oneOf('outcome', runOutcomes),
    exitCode: read.numberOrNull('exitCode'),
    sizeBytes: read.numberOrNull('sizeBytes'),
    error: read.textOrNull('error'),
  }
}
