import type { Installation } from './installation.ts'

/**
 * The whole environment of PostgreSQL's programs: messages in English, since some are read; the installation's library
 * path; and nothing of the caller's, whose `PG…` variables would otherwise change what a program does.
 */
export function programEnvironment(
  installation: Installation,
  extra: Readonly<Record<string, string>> = {},
): Readonly<Record<string, string>> {
  return {
    PATH: `${installation.binDirectory}:/usr/local/bin:/usr/bin:/bin`,
    LC_ALL: 'C',
    ...installation.environment,
    ...extra,
  }
}
