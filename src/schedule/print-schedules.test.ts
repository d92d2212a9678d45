import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import type { EpochMs } from '../std/clock.ts'
import { isFault } from '../std/fault.ts'
import { openCron } from './cron.ts'
import { scheduleFaults } from './faults.ts'
import type { Job } from './job.ts'
import { printCron, printSystemd } from './print-schedules.ts'
import type { PrintRequest } from './print-schedules.ts'

const now = Date.parse('2027-01-01T00:00:00Z') as EpochMs
const strange = `/opt/hold fast/50%$HOME/"it's".js`

function request(expression: string, timeZone = 'UTC', change: Partial<PrintRequest> = {}): PrintRequest {
  const schedule = { expression, timeZone, jitterMs: 0, makeUpWithinMs: 1 }
  const job: Job = {
    name: 'backup',
    schedule,
    runBy: 'system',
    firstFor: null,
    followsBackup: false,
    arguments: () => [],
    sizeOf: () => null,
  }
  const command = (): readonly string[] => ['/bin/true', '/opt/holdfast/main.js', 'schedule', 'run', 'backup']
  return { cluster: 'main', jobs: [job], user: 'postgres', command, now, ...change }
}

function calendarOf(expression: string, timeZone = 'UTC'): readonly string[] {
  const timer = printSystemd(request(expression, timeZone)).get('holdfast-main-backup.timer') ?? ''
  return [...timer.matchAll(/^OnCalendar=(.*)$/gm)].map(([, specification = '']) => specification)
}

function cronLine(given: PrintRequest): string {
  return printCron(given).trimEnd().split('\n').at(-1) ?? ''
}

describe('for cron', () => {
  const table: readonly (readonly [string, string])[] = [
    ['0 2 * * *', '0 2 * * *'],
    ['0 4 * * SUN', '0 4 * * 0'],
    ['*/15 8-17 * * MON-FRI', '0,15,30,45 8-17 * * 1-5'],
    ['0 0 2 * * *', '0 2 * * *'],
    ['@monthly', '0 0 1 * *'],
    // Vixie cron takes both days for necessary when one of them begins with a star.
    ['0 2 */10 * FRI', '0 2 1,11,21,31 * 5'],
    ['0 2 1-31 * 0-6', '0 2 1-31 * 0-6'],
  ]
  for (const [expression, fields] of table) {
    test(expression, () => {
      const command = '/bin/true /opt/holdfast/main.js schedule run backup > /dev/null'
      assert.equal(cronLine(request(expression)), `${fields} postgres ${command}`)
    })
  }

  test('names the time zone, and quotes for cron and for the shell', () => {
    const text = printCron(
      request('0 2 * * *', 'Europe/Berlin', { command: () => ['/usr/bin/printf', '%s\\n', strange] }),
    )
    assert.match(text, /^CRON_TZ=Europe\/Berlin\n0 2 \* \* \* postgres /m)
    // What cron does: everything up to a bare percent sign goes to the shell, without the backslashes before the others.
    const command = (text.trimEnd().split('postgres ').at(-1) ?? '').replace(' > /dev/null', '')
    assert.doesNotMatch(command, /(?<!\\)%/)
    const { stdout } = spawnSync('/bin/sh', ['-c', command.replaceAll('\\%', '%')], { encoding: 'utf8' })
    assert.equal(stdout, `${strange}\n`)
  })

  for (const [expression, problem] of [
    ['30 0 2 * * *', /knows no seconds/],
    ['0 2 L * *', /knows no last day/],
    ['0 2 * * FRI#2', /knows no first or last weekday/],
  ] as const) {
    test(`${expression} is refused`, () => {
      assert.throws(
        () => printCron(request(expression)),
        (error: unknown) => {
          assert.ok(isFault(error, scheduleFaults['schedule-not-printable']))
          assert.match(error.message, problem)
          return true
        },
      )
    })
  }
})

test('a line break in a path is refused', () => {
  const command = (): readonly string[] => ['/bin/true', 'a\nb']
  assert.throws(() => printCron(request('0 2 * * *', 'UTC', { command })), /line break/)
  assert.throws(() => printSystemd(request('0 2 * * *', 'UTC', { command })), /line break/)
})

test('a schedule of which systemd would leave out much is refused where the clock is changed, and fine elsewhere', () => {
  assert.throws(() => calendarOf('* * * * *', 'Europe/Berlin'), /leaves out too many runs .*; use the time zone UTC/)
  assert.deepEqual(calendarOf('* * * * *'), ['*-*-* *:*:00 UTC'])
})

const systemd =
  spawnSync('systemd-analyze', ['--version']).status === 0 ? {} : { skip: 'systemd-analyze is not installed' }

describe('for systemd', systemd, () => {
  let directory = ''
  before(async () => void (directory = await mkdtemp(join(tmpdir(), 'hf-units-'))))
  after(() => rm(directory, { recursive: true, force: true }))

  const cases: readonly (readonly [string, string])[] = [
    ['0 2 * * *', 'UTC'],
    ['0 2 * * *', 'Europe/Berlin'],
    ['30 2 * * SUN', 'Europe/Berlin'],
    ['15 1-3 * * *', 'America/New_York'],
    ['*/30 * * * *', 'Europe/Berlin'],
    ['15 2 * * *', 'Australia/Lord_Howe'],
    ['30 0 * * *', 'Africa/Cairo'],
    ['0 4 * * SAT-SUN', 'Asia/Kolkata'],
    ['0 2 13 * FRI', 'UTC'],
    ['0 2 1,L 2,3 *', 'UTC'],
    ['0 2 * * TUE#1', 'America/St_Johns'],
    ['0 2 * * 5#5', 'UTC'],
    ['0 2 * * FRIL,MON', 'UTC'],
    ['0 2 29 2 *', 'UTC'],
    ['*/20 30 2 * * *', 'UTC'],
    ['0 2 */2 */3 *', 'UTC'],
  ]
  // From shortly before the clock is put forward, and put back.
  const begins = ['2027-03-27T12:00:00Z', '2027-10-30T12:00:00Z', '2027-04-28T00:00:00Z', '2027-03-13T00:00:00Z']
  for (const begin of begins) {
    test(`every schedule comes at the same moments as in the agent, from ${begin}`, () => {
      const calendars = cases.map(([expression, timeZone]) => calendarOf(expression, timeZone))
      const found = elapses(calendars, begin, 40)
      for (const [index, [expression, timeZone]] of cases.entries()) {
        const cron = openCron({ expression, timeZone })
        const expected: string[] = []
        for (
          let at = cron.next(Date.parse(begin) as EpochMs);
          at !== undefined && expected.length < 40;
          at = cron.next(at)
        ) {
          expected.push(new Date(at).toISOString().slice(0, 19))
        }
        assert.deepEqual(found[index], expected, `${expression} ${timeZone}: ${calendars[index]?.join('; ')}`)
      }
    })
  }

  test('the units are what systemd accepts without a word, whatever stands in them', async () => {
    const schedule = { expression: '0 2 * * *', timeZone: 'Europe/Berlin', jitterMs: 90_500, makeUpWithinMs: 0 }
    const given = request('0 2 * * *', 'UTC', { command: () => ['/bin/true', strange, '', 'a"b', 'a\\b', "a'b", ';'] })
    const [job] = given.jobs as [Job]
    const files = printSystemd({ ...given, jobs: [{ ...job, schedule }] })
    const paths: string[] = []
    for (const [name, text] of files) {
      await writeFile(join(directory, name), text)
      paths.push(join(directory, name))
    }
    const { status, stderr } = spawnSync('systemd-analyze', ['verify', '--man=no', ...paths], { encoding: 'utf8' })
    assert.deepEqual([status, stderr], [0, ''])
    const timer = files.get('holdfast-main-backup.timer') ?? ''
    assert.match(timer, /^RandomizedDelaySec=91s\nFixedRandomDelay=true\nPersistent=false$/m)
    const service = files.get('holdfast-main-backup.service') ?? ''
    assert.ok(
      service.includes(
        String.raw`ExecStart=/bin/true "/opt/hold fast/50%%$$HOME/\"it's\".js" "" "a\"b" "a\\b" "a'b" ";"`,
      ),
      service,
    )
  })
})

/** When timers with these specifications elapse after a moment: each at the earliest of its own, again and again. */
function elapses(
  calendars: readonly (readonly string[])[],
  begin: string,
  count: number,
): readonly (readonly string[])[] {
  const base = begin.replace('T', ' ').replace('Z', ' UTC')
  const args = ['calendar', `--iterations=${count}`, `--base-time=${base}`, ...calendars.flat()]
  const { status, stdout, stderr } = spawnSync('systemd-analyze', args, {
    encoding: 'utf8',
    env: { TZ: 'UTC', LC_ALL: 'C', PATH: process.env['PATH'] },
  })
  assert.deepEqual([status, stderr], [0, ''])
  const answers = stdout.split('Normalized form:').slice(1)
  assert.equal(answers.length, calendars.flat().length)
  const times = answers.map((answer) =>
    [...answer.matchAll(/(?:Next elapse|Iter\. #\d+): \w{3} (\d{4}-\d\d-\d\d) (\d\d:\d\d:\d\d) UTC/g)].map(
      ([, date, time]) => `${date}T${time}`,
    ),
  )
  let next = 0
  return calendars.map((calendar) => {
    const own = times.slice(next, (next += calendar.length)).flat()
    return [...new Set(own)].toSorted().slice(0, count)
  })
}
