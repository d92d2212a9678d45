import { Cron as Croner } from 'croner'
import type { EpochMs } from '../std/clock.ts'
import { parseCron } from './core/cron-fields.ts'

/**
 * The moments of a cron expression in a time zone. On days when the clock is changed, a time that does not exist comes as
 * soon as the clock has been put forward, and one that exists twice comes the first time; what runs every so many minutes
 * goes on in the same steps.
 */
export interface Cron {
  /** The first moment after, not at, the given one; undefined when there is none any more. */
  next(after: EpochMs): EpochMs | undefined
  /** The last moment before, not at, the given one. */
  previous(before: EpochMs): EpochMs | undefined
}

export interface CronText {
  readonly expression: string
  /** An IANA name. */
  readonly timeZone: string
}

/** For what {@link cronProblem} has nothing against. */
export function openCron({ expression, timeZone }: CronText): Cron {
  const croner = crone(expression, timeZone)
  return {
    next: (after) => moment(croner.nextRun(new Date(after))),
    // Croner counts what comes earlier in the same second as before it; a moment is always a whole second.
    previous: (before) => moment(croner.previousRuns(1, new Date(Math.ceil(before / 1000) * 1000))[0]),
  }
}

/** Continues "expected …" when the expression cannot be read, or never comes; undefined when it is fine. */
export function cronProblem(expression: string): string | undefined {
  const parsed = parseCron(expression)
  if ('expected' in parsed) return parsed.expected
  const first = crone(expression, 'UTC').nextRun(new Date(0))
  return first === null ? 'a moment that comes: no month that it names has such a day' : undefined
}

export function isTimeZone(name: string): boolean {
  // An offset like +02:00 is accepted by Intl, and by nobody else; so is europe/berlin.
  if (!/^[A-Z]/.test(name)) return false
  try {
    const { timeZone } = new Intl.DateTimeFormat('en', { timeZone: name }).resolvedOptions()
    return timeZone === name || timeZone.toLowerCase() !== name.toLowerCase()
  } catch {
    return false
  }
}

function crone(expression: string, timezone: string): Croner {
  return new Croner(expression.trim(), { timezone, mode: '5-or-6-parts', fixedTimeRule: 'no-wildcard', paused: true })
}

function moment(date: Date | null | undefined): EpochMs | undefined {
  return date === null || date === undefined ? undefined : (date.getTime() as EpochMs)
}
