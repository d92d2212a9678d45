/** The major releases that Holdfast works with. */
export const supportedMajors = [15, 16, 17, 18] as const

export type SupportedMajor = (typeof supportedMajors)[number]

export function isSupportedMajor(major: number): major is SupportedMajor {
  return supportedMajors.some((supported) => supported === major)
}

/**
 * Reads the answer of `postgres --version`, such as `postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)` or
 * `postgres (PostgreSQL) 19devel`; undefined when it is none.
 */
export function parseVersionAnswer(answer: string): { readonly major: number; readonly version: string } | undefined {
  const match = /\(PostgreSQL\) ((\d+)[^\s]*)/.exec(answer)
  if (match === null) return undefined
  return { major: Number(match[2]), version: match[1] ?? '' }
}
