import type { JobReport } from '../../schedule/core/report-jobs.ts'
import type { EpochMs } from '../../std/clock.ts'
import { describeElapsed } from '../../std/duration.ts'

export function describeNext({ next, running, retry }: JobReport, now: EpochMs): string {
  if (running !== null) return `running for ${describeElapsed(Math.max(0, now - running.startedAt))}`
  if (retry !== null) return `tried again in ${describeElapsed(Math.max(0, retry.notBefore - now))}`
  return next === null ? '' : `${isoTime(next)} (in ${describeElapsed(next - now)})`
}

export function describeLast({ last }: JobReport, now: EpochMs): string {
  return last === null ? 'never' : `${last.outcome}, ${ago(now, last.startedAt)}`
}

/** A job as `schedule --json` and `status --json` print it. */
export function jobDocument(job: JobReport): object {
  return {
    ...job,
    next: isoOrNull(job.next),
    overdueSince: isoOrNull(job.overdueSince),
    running: job.running && { ...job.running, ...orderTimes(job.running), runner: undefined, seenAt: undefined },
    retry: job.retry && { ...job.retry, moment: isoOrNull(job.retry.moment), notBefore: isoTime(job.retry.notBefore) },
    last: job.last && { ...job.last, ...orderTimes(job.last) },
    missed: job.missed.map((missed) => ({
      ...missed,
      from: isoTime(missed.from),
      to: isoTime(missed.to),
      reportedAt: isoTime(missed.reportedAt),
    })),
  }
}

function orderTimes({ moment, startedAt }: { readonly moment: EpochMs | null; readonly startedAt: EpochMs }): object {
  return { moment: isoOrNull(moment), startedAt: isoTime(startedAt) }
}

function isoOrNull(moment: EpochMs | null): string | null {
  return moment === null ? null : isoTime(moment)
}

/** To the second: `2027-03-28T01:00:00Z`. */
export function isoTime(moment: EpochMs): string {
  return new Date(moment).toISOString().replace(/\.\d+Z$/, 'Z')
}

export function ago(now: EpochMs, moment: EpochMs): string {
  return moment > now ? 'later than now' : `${describeElapsed(now - moment)} ago`
}
