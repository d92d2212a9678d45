import type { CronFields } from './cron-fields.ts'

const weekdays = ['Sun', 'Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat']

/**
 * A cron expression as calendar specifications of systemd (systemd.time(7)), without their time zone: it comes when one of
 * them does. There days of the week narrow down the date; in cron either of the two will do, which takes a line for each.
 */
export function onCalendar(fields: CronFields): readonly string[] {
  const months = list(fields.months, 12)
  const time = [list(fields.hours, 24), list(fields.minutes, 60), list(fields.seconds, 60)].join(':')
  return dayTerms(fields).map(({ weekday, day }) => `${weekday}*-${months}${day} ${time}`)
}

interface DayTerm {
  /** With a blank after it. */
  readonly weekday: string
  /** With the sign before it: from the first of the month, or from its end. */
  readonly day: string
}

function dayTerms({ days, weekdays: week }: CronFields): readonly DayTerm[] {
  const terms: DayTerm[] = []
  if (!days.every) {
    if (days.days.length > 0) terms.push({ weekday: '', day: `-${list(days.days, 31)}` })
    if (days.last) terms.push({ weekday: '', day: '~01' })
  }
  if (!week.every) {
    if (week.days.length > 0) terms.push({ weekday: `${week.days.map(nameOf).join(',')} `, day: '-*' })
    for (const { day, nth } of week.nth) {
      const range = nth === 'last' ? '~07/1' : `-${two(nth * 7 - 6)}..${two(Math.min(31, nth * 7))}`
      terms.push({ weekday: `${nameOf(day)} `, day: range })
    }
  }
  return terms.length === 0 ? [{ weekday: '', day: '-*' }] : terms
}

function list(values: readonly number[], all: number): string {
  return values.length === all ? '*' : values.map(two).join(',')
}

function two(value: number): string {
  return String(value).padStart(2, '0')
}

function nameOf(day: number): string {
  return weekdays[day] ?? ''
}
