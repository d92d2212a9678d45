import type { EpochMs } from '../std/clock.ts'
import { Fault } from '../std/fault.ts'
import { momentsLeftOut } from './clock-changes.ts'
import { parseCron } from './core/cron-fields.ts'
import type { CronFields } from './core/cron-fields.ts'
import { crontabFields } from './core/crontab-fields.ts'
import { crontabLine } from './core/crontab-line.ts'
import { onCalendar } from './core/on-calendar.ts'
import { serviceUnit, timerUnit } from './core/systemd-units.ts'
import { scheduleFaults } from './faults.ts'
import type { Job, JobSchedule } from './job.ts'

export interface PrintRequest {
  readonly cluster: string
  readonly jobs: readonly Job[]
  /** Who the jobs run as. */
  readonly user: string
  /** The command for a job: the program and its arguments. */
  readonly command: (job: Job) => readonly string[]
  readonly now: EpochMs
}

/** So far ahead the days on which the clock is changed are written out for systemd. */
const yearsAhead = 5
const mostExtraLines = 200
const dayMs = 86_400_000

/** The schedules as a file for `/etc/cron.d`. Throws `schedule-not-printable`. */
export function printCron(request: PrintRequest): string {
  const lines = [
    `# Holdfast, cluster ${request.cluster}: printed by \`holdfast schedule print --cron\`.`,
    '# CRON_TZ is obeyed by cronie (Fedora, RHEL, SUSE, Arch). Debian’s cron goes by the time zone of the machine instead.',
  ]
  for (const { job, schedule, fields } of scheduled(request)) {
    const printed = crontabFields(fields)
    if ('problem' in printed) throw notPrintable(job, schedule, 'cron', printed.problem)
    if (schedule.jitterMs > 0) lines.push(`# cron knows no jitter: ${job.name} begins at once`)
    lines.push(`CRON_TZ=${schedule.timeZone}`)
    lines.push(crontabLine({ fields: printed.fields, user: request.user, command: checked(request.command(job)) }))
  }
  return `${lines.join('\n')}\n`
}

/** The schedules as units of systemd, by file name. Throws `schedule-not-printable`. */
export function printSystemd(request: PrintRequest): ReadonlyMap<string, string> {
  const files = new Map<string, string>()
  for (const { job, schedule, fields } of scheduled(request)) {
    const name = `holdfast-${request.cluster}-${job.name}`
    const unit = {
      name,
      description: `Holdfast: ${job.name} of cluster ${request.cluster}`,
      user: request.user,
      command: checked(request.command(job)),
      calendar: calendarOf(job, schedule, fields, request.now),
      jitterMs: schedule.jitterMs,
      persistent: schedule.makeUpWithinMs > 0,
    }
    files.set(`${name}.service`, serviceUnit(unit))
    files.set(`${name}.timer`, timerUnit(unit))
  }
  return files
}

function calendarOf(job: Job, schedule: JobSchedule, fields: CronFields, now: EpochMs): readonly string[] {
  const regular = onCalendar(fields).map((specification) => `${specification} ${schedule.timeZone}`)
  const to = (now + yearsAhead * 366 * dayMs) as EpochMs
  const leftOut = momentsLeftOut(schedule, fields, { from: now, to, most: mostExtraLines })
  if (leftOut !== undefined) return [...regular, ...leftOut.map(utcSpecification)]
  const problem = `systemd leaves out too many runs on days when the clock is changed; use the time zone UTC`
  throw notPrintable(job, schedule, 'systemd', problem)
}

function utcSpecification(moment: EpochMs): string {
  return `${new Date(moment).toISOString().slice(0, 19).replace('T', ' ')} UTC`
}

function scheduled({
  jobs,
}: PrintRequest): readonly { readonly job: Job; readonly schedule: JobSchedule; readonly fields: CronFields }[] {
  return jobs.flatMap((job) => {
    const { schedule } = job
    if (schedule === null) return []
    const parsed = parseCron(schedule.expression)
    if ('expected' in parsed) throw notPrintable(job, schedule, 'anybody', `expected ${parsed.expected}`)
    return [{ job, schedule, fields: parsed.fields }]
  })
}

/** Neither format can hold a line break. */
function checked(command: readonly string[]): readonly string[] {
  const bad = command.find((word) => /[\0\n\r]/.test(word))
  if (bad === undefined) return command
  const message = `Cannot print the schedules: ${JSON.stringify(bad)} has a line break, which neither cron nor systemd can hold`
  throw new Fault(scheduleFaults['schedule-not-printable'], message)
}

function notPrintable(job: Job, { expression, timeZone }: JobSchedule, whom: string, problem: string): Fault {
  const message = `Cannot print the schedule of ${job.name} (${expression} ${timeZone}) for ${whom}: ${problem}`
  return new Fault(scheduleFaults['schedule-not-printable'], message, { details: { job: job.name, expression } })
}
