import { z } from 'zod'
import { absolutePath, duration, setting, text, wholeNumber } from './setting.ts'

const check = z.strictObject({
  name: setting(text(/^[a-z][a-z0-9-]{0,39}$/, 'lower-case letters, digits and hyphens, a letter first'), {
    about: 'What the check is called in the proof.',
    change: 'reload',
    example: 'orders-of-today',
  }),
  database: setting(text(/^.{1,63}$/s, 'the name of a database'), {
    about: 'The database in which the query runs.',
    change: 'reload',
    example: 'shop',
  }),
  query: setting(text(/\S/, 'an SQL query'), {
    about:
      'The query; the first value of its first row counts. It runs as the superuser, in a session that cannot write, on the restored copy, which has no network of its own but can reach what this machine can reach: no dblink, no foreign tables.',
    change: 'reload',
    example: 'SELECT count(*) FROM orders',
  }),
  expect: setting(text(/\S/, 'a value, or an operator (=, <>, <, <=, >, >=) and a value'), {
    about: 'What the value has to be.',
    change: 'reload',
    example: '> 0',
  }),
})

/** How backups are proven, and how long that is remembered. */
export const verificationSection = z
  .strictObject({
    directory: setting(absolutePath().optional(), {
      about:
        'Where levels 3 and 4 restore to, each time into a directory of its own that is removed afterwards; it needs room for the whole cluster. The default is `verify` in node.stateDirectory.',
      change: 'reload',
      example: '/var/lib/holdfast/verify',
    }),
    largestTables: setting(wholeNumber(0, 1000).prefault(10), {
      about: 'So many of the largest tables are read from their first row to their last at level 4.',
      change: 'reload',
    }),
    statementTimeout: setting(duration('1s', '1d').prefault('30m'), {
      about: 'The longest that one query on the restored copy may take.',
      change: 'reload',
    }),
    amcheckTimeout: setting(duration('1s', '7d').prefault('1h'), {
      about: 'The longest that pg_amcheck may take; where it takes longer, the proof says that it was left out.',
      change: 'reload',
    }),
    keepDays: setting(wholeNumber(1, 36_500, 'days').prefault(2192), {
      about:
        'So long the records of verifications and key tests are kept; `holdfast expire` removes older ones, except the newest of each kind. The default is six years.',
      change: 'reload',
    }),
    checks: z
      .array(check)
      .max(100)
      .superRefine((checks, context) => {
        const seen = new Set<string>()
        checks.forEach(({ name }, index) => {
          if (seen.has(name)) {
            context.addIssue({ code: 'custom', path: [index, 'name'], message: 'a name no other check has' })
          }
          seen.add(name)
        })
      })
      .prefault([]),
  })
  .prefault({})
