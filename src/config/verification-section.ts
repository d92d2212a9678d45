import { z } from 'zod'
import { setting, wholeNumber } from './setting.ts'

/** How backups are proven, and how long that is remembered. */
export const verificationSection = z
  .strictObject({
    keepDays: setting(wholeNumber(1, 36_500, 'days').prefault(2192), {
      about:
        'So long the records of verifications and key tests are kept; `holdfast expire` removes older ones, except the newest of each kind. The default is six years.',
      change: 'reload',
    }),
  })
  .prefault({})
