import type { CronFields } from './cron-fields.ts'

/**
 * The five fields for a crontab, in numbers, which every cron reads the same way; or why there are none. A field that is not
 * `*` does not begin with one either: Vixie cron goes by that when it combines days of the month and of the week.
 */
export function crontabFields(fields: CronFields): { readonly fields: string } | { readonly problem: string } {
  if (fields.seconds.length !== 1 || fields.seconds[0] !== 0) return { problem: 'cron knows no seconds' }
  if (fields.days.last) return { problem: 'cron knows no last day of the month' }
  if (fields.weekdays.nth.length > 0) return { problem: 'cron knows no first or last weekday of the month' }
  const { minutes, hours, days, months, weekdays } = fields
  const parts = [
    minutes.length === 60 ? '*' : ranges(minutes),
    hours.length === 24 ? '*' : ranges(hours),
    days.every ? '*' : ranges(days.days),
    months.length === 12 ? '*' : ranges(months),
    weekdays.every ? '*' : ranges(weekdays.days),
  ]
  return { fields: parts.join(' ') }
}

function ranges(values: readonly number[]): string {
  const found: [number, number][] = []
  for (const value of values) {
    const last = found.at(-1)
    if (last !== undefined && last[1] + 1 === value) last[1] = value
    else found.push([value, value])
  }
  return found.map(([from, to]) => (from === to ? `${from}` : `${from}-${to}`)).join(',')
}
