/**
 * A cron expression taken apart: five fields, or six with seconds first. Numbers, names, ranges, lists, steps, the nicknames
 * `@hourly` to `@yearly`, `L` for the last day of a month, `FRI#2` for its second Friday, `FRIL` for its last one. What other
 * programs add beyond that is refused, since every cron means something else by it.
 */
export interface CronFields {
  readonly seconds: readonly number[]
  readonly minutes: readonly number[]
  readonly hours: readonly number[]
  readonly days: DayField
  readonly months: readonly number[]
  readonly weekdays: WeekdayField
  /** Whether seconds, minutes or hours were given as `*` or with a step: "every so often" rather than "at". */
  readonly everySoOften: boolean
  /** Five fields, as a crontab has them. */
  readonly text: string
}

export interface DayField {
  /** Written as `*`. */
  readonly every: boolean
  /** Written with `*` first, which is what Vixie cron goes by. */
  readonly beginsWithStar: boolean
  readonly days: readonly number[]
  /** `L`. */
  readonly last: boolean
}

export interface WeekdayField {
  readonly every: boolean
  readonly beginsWithStar: boolean
  /** Sunday is 0. */
  readonly days: readonly number[]
  readonly nth: readonly { readonly day: number; readonly nth: number | 'last' }[]
}

interface Range {
  readonly name: string
  readonly min: number
  readonly max: number
  readonly names?: readonly string[]
}

const monthNames = ['JAN', 'FEB', 'MAR', 'APR', 'MAY', 'JUN', 'JUL', 'AUG', 'SEP', 'OCT', 'NOV', 'DEC']
const dayNames = ['SUN', 'MON', 'TUE', 'WED', 'THU', 'FRI', 'SAT', 'SUN']

const second: Range = { name: 'second', min: 0, max: 59 }
const minute: Range = { name: 'minute', min: 0, max: 59 }
const hour: Range = { name: 'hour', min: 0, max: 23 }
const day: Range = { name: 'day of the month', min: 1, max: 31 }
const month: Range = { name: 'month', min: 1, max: 12, names: monthNames }
const weekday: Range = { name: 'day of the week', min: 0, max: 7, names: dayNames }

const nicknames: Readonly<Record<string, string>> = {
  '@hourly': '0 * * * *',
  '@daily': '0 0 * * *',
  '@midnight': '0 0 * * *',
  '@weekly': '0 0 * * 0',
  '@monthly': '0 0 1 * *',
  '@yearly': '0 0 1 1 *',
  '@annually': '0 0 1 1 *',
}

export type ParsedCron = { readonly fields: CronFields } | { readonly expected: string }

/** Gives the fields, or what was expected instead, to continue "expected …". */
export function parseCron(expression: string): ParsedCron {
  const given = expression.trim()
  const text = given.startsWith('@') ? nicknames[given.toLowerCase()] : given
  if (text === undefined) return { expected: `one of ${Object.keys(nicknames).join(', ')}, or five fields` }
  const parts = text.split(/\s+/)
  if (parts.length !== 5 && parts.length !== 6) {
    const order = 'minute, hour, day of the month, month, day of the week'
    return { expected: `five fields (${order}), or six with seconds first; it has ${text === '' ? 0 : parts.length}` }
  }
  const [seconds = '0', minutes = '', hours = '', days = '', months = '', weekdays = ''] =
    parts.length === 6 ? parts : ['0', ...parts]
  try {
    return {
      fields: {
        seconds: numbers(seconds, second),
        minutes: numbers(minutes, minute),
        hours: numbers(hours, hour),
        days: dayField(days),
        months: numbers(months, month),
        weekdays: weekdayField(weekdays),
        everySoOften: [seconds, minutes, hours].some((field) => /[*/]/.test(field)),
        text: parts.slice(-5).join(' '),
      },
    }
  } catch (error) {
    if (error instanceof Unreadable) return { expected: error.expected }
    throw error
  }
}

class Unreadable extends Error {
  readonly expected: string

  constructor(expected: string) {
    super(expected)
    this.expected = expected
  }
}

function dayField(text: string): DayField {
  const items = text.split(',')
  const plain = items.filter((item) => item.toUpperCase() !== 'L')
  return {
    every: text === '*',
    beginsWithStar: text.startsWith('*'),
    days: plain.length === 0 ? [] : numbers(plain.join(','), day),
    last: plain.length < items.length,
  }
}

function weekdayField(text: string): WeekdayField {
  const items = text.split(',')
  const nth = items.flatMap((item) => {
    const match = /^([^#]+)(?:#([1-5])|#?L)$/i.exec(item)
    if (match === null || match[1] === undefined) return []
    return [{ day: one(match[1], weekday) % 7, nth: match[2] === undefined ? ('last' as const) : Number(match[2]) }]
  })
  const plain = items.filter((item) => !/^[^#]+(#[1-5]|#?L)$/i.test(item))
  const days = plain.length === 0 ? [] : numbers(plain.join(','), weekday).map((value) => value % 7)
  return { every: text === '*', beginsWithStar: text.startsWith('*'), days: ascending(days), nth }
}

function numbers(text: string, range: Range): readonly number[] {
  return ascending(text.split(',').flatMap((item) => values(item, range)))
}

function values(item: string, range: Range): readonly number[] {
  const [span = '', stepText, ...more] = item.split('/')
  if (more.length > 0) throw new Unreadable(`one step in ${quoted(item)}, the ${range.name}`)
  const [from, to] = bounds(span, range, stepText !== undefined)
  const step = stepText === undefined ? 1 : Number(stepText)
  if (stepText !== undefined && (!/^\d{1,2}$/.test(stepText) || step < 1 || step > range.max)) {
    throw new Unreadable(`a step from 1 to ${range.max} in ${quoted(item)}, the ${range.name}`)
  }
  return Array.from({ length: Math.floor((to - from) / step) + 1 }, (_, index) => from + index * step)
}

function bounds(span: string, range: Range, stepped: boolean): readonly [number, number] {
  if (span === '*') return [range.min, range === weekday ? 6 : range.max]
  const [first = '', last, ...more] = span.split('-')
  const from = one(first, range)
  if (last === undefined) {
    if (!stepped) return [from, from]
    throw new Unreadable(`* or a range before the step in ${quoted(`${span}/…`)}, the ${range.name}`)
  }
  // A range that ends on Sunday: SAT-SUN.
  const to = range === weekday && /^sun$/i.test(last) ? 7 : one(last, range)
  if (more.length > 0 || from > to) {
    throw new Unreadable(`a range from low to high instead of ${quoted(span)}, the ${range.name}`)
  }
  return [from, to]
}

function one(text: string, range: Range): number {
  const named = range.names?.indexOf(text.toUpperCase()) ?? -1
  if (named >= 0) return named + range.min
  const value = /^\d{1,2}$/.test(text) ? Number(text) : Number.NaN
  if (value >= range.min && value <= range.max) return value
  const names =
    range.names === undefined ? '' : ` or ${range.names[0]} to ${range.names.at(range === weekday ? 6 : -1)}`
  throw new Unreadable(
    `${range === hour ? 'an' : 'a'} ${range.name} from ${range.min} to ${range.max}${names} instead of ${quoted(text)}`,
  )
}

function quoted(text: string): string {
  return JSON.stringify(text)
}

function ascending(values: readonly number[]): readonly number[] {
  return [...new Set(values)].toSorted((a, b) => a - b)
}
