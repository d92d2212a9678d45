import type { EpochMs } from '../std/clock.ts'
import { openCron } from './cron.ts'
import type { CronText } from './cron.ts'

const mostCounted = 1000

/** What {@link decideJobs} has to know of a cron: the moments after `settledTo`, as data. */
export function momentsOf(
  text: CronText,
  { settledTo, now }: { readonly settledTo: EpochMs; readonly now: EpochMs },
): { readonly passed: readonly EpochMs[]; readonly exact: boolean; readonly next: EpochMs | null } {
  const cron = openCron(text)
  const passed: EpochMs[] = []
  let moment = cron.next(settledTo)
  while (moment !== undefined && moment <= now && passed.length < mostCounted) {
    passed.push(moment)
    moment = cron.next(moment)
  }
  const exact = moment === undefined || moment > now
  const newest = exact ? undefined : cron.previous((now + 1) as EpochMs)
  if (newest !== undefined) passed.push(newest)
  return { passed, exact, next: cron.next(Math.max(now, settledTo) as EpochMs) ?? null }
}

/** How a ledger names a schedule. */
export function scheduleText({ expression, timeZone }: CronText): string {
  return `${expression.trim()} ${timeZone}`
}
