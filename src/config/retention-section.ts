import { z } from 'zod'
import { setting, wholeNumber } from './setting.ts'

const keepAmount = (about: string, most: number): z.ZodPrefault<z.ZodNumber> =>
  setting(wholeNumber(0, most).prefault(0), { about, change: 'reload' })

const dumpAmount = (about: string, most: number): z.ZodOptional<z.ZodNumber> =>
  setting(wholeNumber(0, most).optional(), { about, change: 'reload' })

/** Rules for dumps that are not those for backups. */
const dumpRetention = z
  .strictObject({
    days: dumpAmount(
      'Dumps of the last so many days stay; without it as many as of backups, and so for each of these.',
      36_500,
    ),
    count: dumpAmount('So many of the newest dumps of each database stay however old they are.', 10_000),
    daily: dumpAmount('The newest dump of each database of each of so many days (UTC) stays.', 3660),
    weekly: dumpAmount('The same for weeks, which begin on Monday.', 520),
    monthly: dumpAmount('The same for months.', 1200),
    yearly: dumpAmount('The same for years.', 100),
  })
  .prefault({})

/** What `holdfast expire` keeps: a backup goes when no rule keeps it. */
export const retentionRules = z.strictObject({
  days: setting(wholeNumber(0, 36_500, 'days').prefault(30), {
    about:
      'Every moment of the last so many days stays restorable: all backups in them, one before, and all WAL since.',
    change: 'reload',
  }),
  count: setting(wholeNumber(0, 10_000).prefault(2), {
    about: 'So many of the newest backups stay however old they are, with all WAL since.',
    change: 'reload',
  }),
  daily: keepAmount('The newest backup of each of so many days (UTC) stays as it is, without the WAL after it.', 3660),
  weekly: keepAmount('The same for weeks, which begin on Monday.', 520),
  monthly: keepAmount('The same for months.', 1200),
  yearly: keepAmount('The same for years.', 100),
  dumps: dumpRetention,
})

export const retentionSection: z.ZodPrefault<typeof retentionRules> = retentionRules.prefault({})
