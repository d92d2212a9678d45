import type { EpochMs } from '../std/clock.ts'
import { openCron } from './cron.ts'
import type { CronText } from './cron.ts'
import type { CronFields } from './core/cron-fields.ts'

const hourMs = 3_600_000
const dayMs = 24 * hourMs
/** No zone has ever moved its clock by more, but for the ones that moved the date line. */
const largestChangeMs = 3 * hourMs

/**
 * The moments of a schedule that systemd leaves out, between two moments: it skips a time that does not exist since the
 * clock is put forward, and the second pass of an hour that comes twice. Undefined when there are more than `most`.
 */
export function momentsLeftOut(
  text: CronText,
  fields: CronFields,
  range: { readonly from: EpochMs; readonly to: EpochMs; readonly most: number },
): readonly EpochMs[] | undefined {
  const cron = openCron(text)
  const wallOf = wallClock(text.timeZone)
  const found: EpochMs[] = []
  for (const { at, byMs } of clockChanges(wallOf, range)) {
    const end = at + largestChangeMs
    for (let moment = cron.next((at - 1) as EpochMs); moment !== undefined && moment < end;) {
      const second = byMs < 0 && moment - at < -byMs
      if (second || !isNamed(fields, wallOf(moment))) found.push(moment)
      if (found.length > range.most) return undefined
      moment = cron.next(moment)
    }
  }
  return found
}

interface ClockChange {
  /** The first moment of the new time. */
  readonly at: number
  /** How far the clock is put forward. */
  readonly byMs: number
}

function clockChanges(
  wallOf: (moment: number) => Date,
  { from, to }: { readonly from: EpochMs; readonly to: EpochMs },
): readonly ClockChange[] {
  const offset = (moment: number): number => wallOf(moment).getTime() - moment
  const changes: ClockChange[] = []
  for (let day = Math.floor(from / dayMs) * dayMs; day < to; day += dayMs) {
    let [low, high] = [day, day + dayMs]
    const byMs = offset(high) - offset(low)
    if (byMs === 0) continue
    while (high - low > 1000) {
      const middle = Math.floor((low + high) / 2000) * 1000
      if (offset(middle) === offset(low)) low = middle
      else high = middle
    }
    changes.push({ at: high, byMs })
  }
  return changes
}

/** What a clock in a zone shows, as if it were UTC. */
function wallClock(timeZone: string): (moment: number) => Date {
  const numeric = 'numeric'
  const parts = {
    year: numeric,
    month: numeric,
    day: numeric,
    hour: numeric,
    minute: numeric,
    second: numeric,
  } as const
  const format = new Intl.DateTimeFormat('en-US', { timeZone, hourCycle: 'h23', ...parts })
  return (moment) => {
    const shown = Object.fromEntries(format.formatToParts(moment).map(({ type, value }) => [type, Number(value)]))
    const { year = 0, month = 1, day = 1, hour = 0, minute = 0, second = 0 } = shown
    return new Date(Date.UTC(year, month - 1, day, hour, minute, second))
  }
}

function isNamed({ hours, minutes, seconds }: CronFields, shown: Date): boolean {
  return (
    hours.includes(shown.getUTCHours()) &&
    minutes.includes(shown.getUTCMinutes()) &&
    seconds.includes(shown.getUTCSeconds())
  )
}
