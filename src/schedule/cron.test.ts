import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import * as fc from 'fast-check'
import type { EpochMs } from '../std/clock.ts'
import { parseCron } from './core/cron-fields.ts'
import { cronProblem, isTimeZone, openCron } from './cron.ts'

const at = (text: string): EpochMs => Date.parse(text) as EpochMs
const minuteMs = 60_000

function following(expression: string, timeZone: string, after: string, count: number): readonly string[] {
  const cron = openCron({ expression, timeZone })
  const found: string[] = []
  for (let last: EpochMs | undefined = at(after); found.length < count;) {
    last = cron.next(last)
    if (last === undefined) break
    found.push(new Date(last).toISOString().slice(0, 16))
  }
  return found
}

describe('moments', () => {
  const table: readonly (readonly [string, string, string, readonly string[]])[] = [
    ['0 2 * * *', 'UTC', '2027-01-01T02:00:00Z', ['2027-01-02T02:00', '2027-01-03T02:00']],
    ['0 4 * * SUN', 'UTC', '2027-01-01T00:00:00Z', ['2027-01-03T04:00', '2027-01-10T04:00']],
    ['@daily', 'Europe/Berlin', '2027-01-01T00:00:00Z', ['2027-01-01T23:00', '2027-01-02T23:00']],
    ['0 2 L * *', 'UTC', '2027-01-31T12:00:00Z', ['2027-02-28T02:00', '2027-03-31T02:00']],
    ['0 2 * * FRI#2', 'UTC', '2027-01-01T00:00:00Z', ['2027-01-08T02:00', '2027-02-12T02:00']],
    ['0 2 * * FRIL', 'UTC', '2027-01-01T00:00:00Z', ['2027-01-29T02:00', '2027-02-26T02:00']],
    ['0 2 29 2 *', 'UTC', '2027-01-01T00:00:00Z', ['2028-02-29T02:00', '2032-02-29T02:00']],
    // Either day will do, as in every cron.
    ['0 2 13 * FRI', 'UTC', '2027-04-09T03:00:00Z', ['2027-04-13T02:00', '2027-04-16T02:00']],
  ]
  for (const [expression, zone, after, expected] of table) {
    test(`${expression} ${zone}`, () => assert.deepEqual(following(expression, zone, after, expected.length), expected))
  }
})

describe('when the clock is changed', () => {
  const spring = '2027-03-27T12:00:00Z'
  const autumn = '2027-10-30T12:00:00Z'
  const table: readonly (readonly [string, string, string, string, readonly string[]])[] = [
    [
      'a time that does not exist comes once, right after the gap',
      '30 2 * * *',
      'Europe/Berlin',
      spring,
      ['2027-03-28T01:00', '2027-03-29T00:30'],
    ],
    [
      'two of a list that fall together come once',
      '0 2,3 * * *',
      'Europe/Berlin',
      spring,
      ['2027-03-28T01:00', '2027-03-29T00:00'],
    ],
    [
      'a time that exists twice comes once',
      '30 2 * * *',
      'Europe/Berlin',
      autumn,
      ['2027-10-31T00:30', '2027-11-01T01:30'],
    ],
    [
      'every half an hour goes on in steps of half an hour',
      '*/30 * * * *',
      'Europe/Berlin',
      '2027-10-31T00:20:00Z',
      ['2027-10-31T00:30', '2027-10-31T01:00', '2027-10-31T01:30'],
    ],
    [
      'a gap of half an hour',
      '15 2 * * *',
      'Australia/Lord_Howe',
      '2027-10-02T12:00:00Z',
      ['2027-10-02T15:30', '2027-10-03T15:15'],
    ],
    [
      'a gap at midnight',
      '30 0 * * *',
      'Africa/Cairo',
      '2027-04-29T12:00:00Z',
      ['2027-04-29T22:00', '2027-04-30T21:30'],
    ],
  ]
  for (const [name, expression, zone, after, expected] of table) {
    test(name, () => assert.deepEqual(following(expression, zone, after, expected.length), expected))
  }
})

test('next and previous are strict, and each undoes the other, in every zone and on every day', () => {
  const zones = ['UTC', 'Europe/Berlin', 'America/New_York', 'Australia/Lord_Howe', 'America/St_Johns', 'Asia/Tehran']
  const expressions = ['0 2 * * *', '30 2 * * SUN', '15 1,2,3 * * *', '*/20 * * * *', '0 4 L * *', '*/7 30 2 * * *']
  fc.assert(
    fc.property(
      fc.constantFrom(...zones),
      fc.constantFrom(...expressions),
      fc.integer({ min: at('2026-01-01T00:00:00Z'), max: at('2028-01-01T00:00:00Z') }),
      (timeZone, expression, from) => {
        const cron = openCron({ expression, timeZone })
        const next = cron.next(from as EpochMs)
        assert.ok(next !== undefined && next > from)
        const before = cron.previous(next)
        assert.ok(before !== undefined && before < next && before <= from)
        assert.equal(cron.next(before), next)
        assert.equal(cron.previous((next + 1) as EpochMs), next)
      },
    ),
    { numRuns: 300 },
  )
})

/** Minute by minute, straight from the fields: what croner has to agree with where no clock is changed. */
function comesAt(expression: string, moment: number): boolean {
  const parsed = parseCron(expression)
  assert.ok('fields' in parsed)
  const { minutes, hours, days, months, weekdays } = parsed.fields
  const date = new Date(moment)
  const day = date.getUTCDate()
  const daysInMonth = new Date(Date.UTC(date.getUTCFullYear(), date.getUTCMonth() + 1, 0)).getUTCDate()
  const inDays = days.days.includes(day) || (days.last && day === daysInMonth)
  const inWeek =
    weekdays.days.includes(date.getUTCDay()) ||
    weekdays.nth.some(({ day: wanted, nth }) =>
      wanted !== date.getUTCDay() ? false : nth === 'last' ? day + 7 > daysInMonth : Math.ceil(day / 7) === nth,
    )
  const onDay = days.every ? weekdays.every || inWeek : weekdays.every ? inDays : inDays || inWeek
  return (
    onDay &&
    minutes.includes(date.getUTCMinutes()) &&
    hours.includes(date.getUTCHours()) &&
    months.includes(date.getUTCMonth() + 1)
  )
}

test('our reading of an expression and the moments agree', () => {
  const part = (min: number, max: number): fc.Arbitrary<string> =>
    fc.oneof(
      fc.constant('*'),
      fc.integer({ min, max }).map(String),
      fc
        .tuple(fc.integer({ min, max }), fc.integer({ min, max }))
        .map(([a, b]) => `${Math.min(a, b)}-${Math.max(a, b)}`),
      fc.integer({ min: 1, max: Math.min(12, max) }).map((step) => `*/${step}`),
      fc.array(fc.integer({ min, max }), { minLength: 1, maxLength: 3 }).map((list) => list.join(',')),
    )
  const weekday = fc.oneof(part(0, 7), fc.constantFrom('MON-FRI', 'SAT-SUN', 'TUE#3', 'SUNL', '1,FRI#1'))
  const days = fc.oneof(part(1, 31), fc.constantFrom('L', '15,L'))
  fc.assert(
    fc.property(
      fc.tuple(part(0, 59), part(0, 23), days, part(1, 12), weekday).map((parts) => parts.join(' ')),
      fc.integer({ min: at('2026-01-01T00:00:00Z') / minuteMs, max: at('2028-12-01T00:00:00Z') / minuteMs }),
      (expression, minute) => {
        if (cronProblem(expression) !== undefined) return
        const moment = minute * minuteMs
        const cron = openCron({ expression, timeZone: 'UTC' })
        assert.equal(cron.next((moment - 1) as EpochMs) === moment, comesAt(expression, moment), expression)
        const next = cron.next(moment as EpochMs)
        if (next !== undefined) assert.ok(comesAt(expression, next), expression)
      },
    ),
    { numRuns: 500 },
  )
})

describe('an expression that cannot be used says what was expected', () => {
  const table: readonly (readonly [string, RegExp])[] = [
    ['', /five fields .*it has 0/],
    ['0 2 * *', /five fields .*it has 4/],
    ['0 25 * * *', /an hour from 0 to 23 instead of "25"/],
    ['60 2 * * *', /a minute from 0 to 59 instead of "60"/],
    ['0 2 0 * *', /a day of the month from 1 to 31 instead of "0"/],
    ['0 2 * 13 *', /a month from 1 to 12 or JAN to DEC instead of "13"/],
    ['0 2 * January *', /a month from 1 to 12 or JAN to DEC instead of "January"/],
    ['0 2 * * FUNDAY', /a day of the week from 0 to 7 or SUN to SAT instead of "FUNDAY"/],
    ['0 2 * * 2#7', /a day of the week/],
    ['0 2 ? * *', /a day of the month from 1 to 31 instead of "\?"/],
    ['0 2 15W * *', /instead of "15W"/],
    ['0 22-3 * * *', /a range from low to high instead of "22-3"/],
    ['*/0 2 * * *', /a step from 1 to 59/],
    ['5/15 2 * * *', /\* or a range before the step/],
    ['1,,2 2 * * *', /a minute from 0 to 59 instead of ""/],
    ['@reboot', /@daily/],
    ['0 2 30 2 *', /a moment that comes: no month that it names has such a day/],
    ['0 2 31 4,6,9,11 *', /a moment that comes/],
  ]
  for (const [expression, expected] of table) {
    test(JSON.stringify(expression), () => assert.match(cronProblem(expression) ?? 'nothing', expected))
  }
})

test('time zones are IANA names', () => {
  for (const name of ['UTC', 'Europe/Berlin', 'America/Argentina/Buenos_Aires', 'Asia/Calcutta', 'GMT'])
    assert.equal(isTimeZone(name), true, name)
  for (const name of ['', 'Mars/Base', 'local', '+02:00', 'Europe/', 'Europe/berlin'])
    assert.equal(isTimeZone(name), false, name)
})
