import { z } from 'zod'
import { highestVerification } from '../repository/core/proof-name.ts'
import { cronProblem, isTimeZone } from '../schedule/cron.ts'
import { formatDuration, parseDuration } from '../std/duration.ts'
import type { Duration } from '../std/duration.ts'
import { choice, described, duration, onOff, setting, wholeNumber } from './setting.ts'

/** When a job runs: a cron expression, or one of a few words. */
function schedule(...words: readonly string[]): z.ZodString {
  const expects = [...words, 'a cron expression like 0 2 * * * or 0 4 * * SUN, with quotes in YAML'].join(', or ')
  const schema = z.string().superRefine((given, context) => {
    if (words.includes(given)) return
    const problem = cronProblem(given)
    if (problem === undefined) return
    context.addIssue({ code: 'custom', message: [...words, problem].join(', or ') })
  })
  return described(schema, { kind: 'text', expects })
}

function timeZone(): z.ZodString {
  return described(z.string().refine(isTimeZone), {
    kind: 'text',
    expects: 'a time zone by its IANA name, like UTC or Europe/Berlin',
  })
}

/** A duration, or `off`. */
function durationOrOff(min: string, max: string): z.ZodType<Duration | 'off', string> {
  const [least, most] = [parseDuration(min)?.ms ?? 0, parseDuration(max)?.ms ?? 0]
  const schema = z.string().transform((given, context): Duration | 'off' => {
    if (given === 'off') return given
    const parsed = parseDuration(given)
    if (parsed !== undefined && parsed.ms >= least && parsed.ms <= most) return parsed
    context.addIssue({ code: 'custom', message: '' })
    return z.NEVER
  })
  const range = `${formatDuration({ ms: least })} to ${formatDuration({ ms: most })}`
  return described(schema, {
    kind: 'duration',
    expects: `off, or a duration with its unit from ${range}`,
    unit: 'h, d',
  })
}

const timing = {
  timeZone: setting(timeZone().optional(), {
    about: 'The time zone of this schedule, instead of `schedules.timeZone`.',
    change: 'restart',
    example: 'Europe/Berlin',
  }),
  jitter: setting(duration('0s', '1d').prefault('0s'), {
    about: 'A run begins up to this much later, by an amount that differs from cluster to cluster and from run to run.',
    change: 'restart',
  }),
  makeUpWithin: setting(duration('0s', '30d').prefault('1d'), {
    about:
      'How late a run may still begin when nobody could run it in time; after that it is reported missed. Of several missed ones the last is made up.',
    change: 'restart',
  }),
}

const backup = z
  .strictObject({
    at: setting(schedule('off').prefault('0 2 * * *'), {
      about: 'When a backup is taken into the first repository: of what changed, complete on its own.',
      change: 'restart',
    }),
    fullEvery: setting(durationOrOff('1h', '3650d').prefault('30d'), {
      about:
        'A backup copies everything when the last that did is older. No restore needs that; it bounds how many backups share an object that may get damaged.',
      change: 'restart',
    }),
    atOnce: setting(onOff().prefault(true), {
      about:
        'Take a backup at once when the repository has none of this cluster, and when WAL is missing in it, whatever the schedule says.',
      change: 'restart',
    }),
    ...timing,
  })
  .prefault({})

const expire = z
  .strictObject({
    at: setting(schedule('off', 'after-backup').prefault('after-backup'), {
      about:
        'When `holdfast expire` removes what `retention` does not keep; `after-backup`: after each backup of the agent.',
      change: 'restart',
    }),
    ...timing,
  })
  .prefault({})

const dump = z
  .strictObject({
    at: setting(schedule('off').prefault('off'), {
      about: 'When portable dumps of all databases are written into the first repository.',
      change: 'restart',
    }),
    ...timing,
  })
  .prefault({})

const verify = z
  .strictObject({
    at: setting(schedule('off').prefault('0 4 * * SUN'), {
      about: 'When the newest backup is verified, and the result recorded: `holdfast verify`.',
      change: 'restart',
    }),
    level: setting(wholeNumber(0, highestVerification).prefault(highestVerification), {
      about:
        'How far it goes; `holdfast verify --help` says what each level proves. Levels 3 and 4 restore the backup and need room for it (`verification.directory`).',
      change: 'restart',
    }),
    ...timing,
  })
  .prefault({})

const keyTest = z
  .strictObject({
    at: setting(schedule('off').prefault('0 3 * * *'), {
      about: 'When every configured key is tried on every repository, so that a lost one is found before it is needed.',
      change: 'restart',
    }),
    ...timing,
  })
  .prefault({})

/** What the agent of the leader does by itself, and when. */
export const schedulesSection = z
  .strictObject({
    runBy: setting(choice(['agent', 'system']).prefault('agent'), {
      about:
        '`agent`: the agent of the leader runs the jobs. `system`: cron or systemd does, with what `holdfast schedule print` prints; runs that do not happen are still noticed.',
      change: 'restart',
    }),
    timeZone: setting(timeZone().prefault('UTC'), {
      about: 'The time zone of the schedules, whatever the zone of the machine: the nodes have to agree.',
      change: 'restart',
    }),
    backup,
    expire,
    dump,
    verify,
    keyTest,
  })
  .prefault({})
