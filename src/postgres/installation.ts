import { access, constants, glob, realpath } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { delimiter, dirname, join } from 'node:path'
import { Fault } from '../std/fault.ts'
import { runProgram } from '../std/run-program.ts'
import { embeddedPackage } from './core/embedded-platform.ts'
import type { Platform } from './core/embedded-platform.ts'
import { isSupportedMajor, parseVersionAnswer, supportedMajors } from './core/version.ts'
import { detectPlatform, openEmbeddedDirectory, openEmbeddedPackage } from './embedded.ts'
import { postgresFaults } from './faults.ts'

/** The programs of one PostgreSQL on this machine. Those that may be missing are undefined. */
export interface Tools {
  readonly postgres: string
  readonly initdb: string
  readonly pgCtl?: string
  readonly pgRewind?: string
  readonly pgControldata?: string
  readonly pgChecksums?: string
  readonly pgAmcheck?: string
  readonly pgWaldump?: string
  readonly pgDump?: string
  readonly pgDumpall?: string
  readonly pgRestore?: string
  readonly psql?: string
  readonly pgbench?: string
}

export interface Installation {
  readonly major: number
  /** As PostgreSQL writes it: `15.18`. */
  readonly version: string
  readonly source: 'system' | 'embedded'
  readonly binDirectory: string
  /** What has to be in the environment of every program of this installation. */
  readonly environment: Readonly<Record<string, string>>
  readonly tools: Tools
}

/** Where to look. {@link installationSearch} makes the usual one from a process's environment. */
export interface InstallationSearch {
  /** Directories that may hold `pg_config` or `postgres`, as in PATH. */
  readonly programDirectories: readonly string[]
  /**
   * Directories for the library links of embedded PostgreSQL, tried in order. A server loads some libraries late, so
   * what runs for long should name one here first that nothing cleans up, such as one in its state directory.
   */
  readonly cacheDirectories: readonly string[]
  /** npm packages besides the platform's own, for other majors. */
  readonly extraPackages?: readonly string[] | undefined
  readonly platform?: Platform | undefined
}

const usualDirectories = [
  '/usr/lib/postgresql/*/bin',
  '/usr/pgsql-*/bin',
  '/usr/libexec/postgresql*',
  '/usr/local/pgsql/bin',
  '/opt/homebrew/opt/postgresql@*/bin',
  '/usr/local/opt/postgresql@*/bin',
  '/Applications/Postgres.app/Contents/Versions/*/bin',
]

const toolNames: Readonly<Record<Exclude<keyof Tools, 'postgres' | 'initdb'>, string>> = {
  pgCtl: 'pg_ctl',
  pgRewind: 'pg_rewind',
  pgControldata: 'pg_controldata',
  pgChecksums: 'pg_checksums',
  pgAmcheck: 'pg_amcheck',
  pgWaldump: 'pg_waldump',
  pgDump: 'pg_dump',
  pgDumpall: 'pg_dumpall',
  pgRestore: 'pg_restore',
  psql: 'psql',
  pgbench: 'pgbench',
}

/** The usual search: PATH for system servers, the user's cache directory and then a private temporary one for links. */
export function installationSearch(
  environment: Readonly<Record<string, string | undefined>>,
  userId: number,
): InstallationSearch {
  const cacheRoot = environment['XDG_CACHE_HOME'] ?? (environment['HOME'] && join(environment['HOME'], '.cache'))
  return {
    programDirectories: (environment['PATH'] ?? '').split(delimiter).filter((directory) => directory.startsWith('/')),
    cacheDirectories: [
      ...(cacheRoot?.startsWith('/') ? [join(cacheRoot, 'holdfast')] : []),
      join(tmpdir(), `holdfast-${userId}`),
    ],
  }
}

/**
 * Every usable PostgreSQL of a supported major: system ones first, newest major first within each source. A platform
 * without embedded PostgreSQL simply has none; {@link chooseInstallation} says so when nothing else is left.
 */
export async function findInstallations(search: InstallationSearch): Promise<readonly Installation[]> {
  const system = await findSystem(search)
  const embedded = await findEmbedded(search)
  return [...newestFirst(system), ...newestFirst(embedded)]
}

/**
 * The PostgreSQL to use: the one in `binDirectory` when given, else the first found of the wanted major, else the
 * newest of the system, else the newest embedded one.
 */
export async function chooseInstallation(
  search: InstallationSearch,
  wanted: { readonly major?: number | undefined; readonly binDirectory?: string | undefined } = {},
): Promise<Installation> {
  if (wanted.binDirectory !== undefined) return explicitInstallation(search, wanted.binDirectory, wanted.major)
  const found = await findInstallations(search)
  const chosen = found.find((installation) => wanted.major === undefined || installation.major === wanted.major)
  if (chosen !== undefined) return chosen
  const choice = embeddedPackage(search.platform ?? (await detectPlatform()))
  if (!choice.usable) {
    throw new Fault(
      postgresFaults['postgres-embedded-unusable'],
      `Cannot find PostgreSQL${wanted.major === undefined ? '' : ` ${wanted.major}`}: none is installed, and ${choice.reason}`,
      { hint: choice.instead },
    )
  }
  const have = found.map((installation) => `${installation.version} in ${installation.binDirectory}`)
  throw new Fault(
    postgresFaults['postgres-not-found'],
    wanted.major === undefined
      ? 'Cannot find PostgreSQL: neither a system installation nor the embedded one is there'
      : `Cannot find PostgreSQL ${wanted.major}: found ${have.length === 0 ? 'none' : have.join(', ')}`,
    { details: { found: have } },
  )
}

async function explicitInstallation(
  search: InstallationSearch,
  binDirectory: string,
  major: number | undefined,
): Promise<Installation> {
  const opened = await openEmbeddedDirectory(binDirectory, search.cacheDirectories)
  const source = opened === undefined ? 'system' : 'embedded'
  const installation = await inspectDirectory(binDirectory, source, opened?.environment ?? {})
  if (installation === undefined) {
    throw new Fault(
      postgresFaults['postgres-not-found'],
      `Cannot use ${binDirectory}: it has no working postgres and initdb`,
      { details: { binDirectory } },
    )
  }
  if (!isSupportedMajor(installation.major) || (major !== undefined && installation.major !== major)) {
    throw new Fault(
      postgresFaults['postgres-not-found'],
      `Cannot use ${binDirectory}: it is PostgreSQL ${installation.version}, and ${major ?? supportedMajors.join(', ')} is wanted`,
      { details: { binDirectory, version: installation.version } },
    )
  }
  return installation
}

async function findSystem(search: InstallationSearch): Promise<readonly Installation[]> {
  const candidates: string[] = []
  for (const directory of search.programDirectories) {
    candidates.push(directory)
    const configured = await configuredDirectory(join(directory, 'pg_config'))
    if (configured !== undefined) candidates.push(configured)
  }
  for (const pattern of usualDirectories) {
    for await (const directory of glob(pattern)) candidates.push(directory)
  }
  const seen = new Set<string>()
  const found: Installation[] = []
  for (const candidate of candidates) {
    const directory = await programDirectory(candidate)
    if (directory === undefined || seen.has(directory)) continue
    seen.add(directory)
    const installation = await inspectDirectory(directory, 'system', {})
    if (installation !== undefined && isSupportedMajor(installation.major)) found.push(installation)
  }
  return found
}

async function findEmbedded(search: InstallationSearch): Promise<readonly Installation[]> {
  const choice = embeddedPackage(search.platform ?? (await detectPlatform()))
  if (!choice.usable) return []
  const found: Installation[] = []
  for (const packageName of [choice.packageName, ...(search.extraPackages ?? [])]) {
    const opened = await openEmbeddedPackage(packageName, search.cacheDirectories)
    if (opened === undefined) continue
    const installation = await inspectDirectory(opened.binDirectory, 'embedded', opened.environment)
    if (installation !== undefined && isSupportedMajor(installation.major)) found.push(installation)
  }
  return found
}

/** Looks whether a directory holds a server that runs here; what does not answer its version is no installation. */
async function inspectDirectory(
  binDirectory: string,
  source: Installation['source'],
  environment: Readonly<Record<string, string>>,
): Promise<Installation | undefined> {
  const postgres = join(binDirectory, 'postgres')
  const initdb = join(binDirectory, 'initdb')
  if (!(await isExecutable(postgres)) || !(await isExecutable(initdb))) return undefined
  const answer = await runProgram(postgres, ['--version'], { environment, deadlineMs: 10_000 }).catch(() => undefined)
  const parsed = answer && parseVersionAnswer(answer.stdout)
  if (parsed === undefined) return undefined
  const tools: Record<string, string> = {}
  for (const [key, name] of Object.entries(toolNames)) {
    const path = join(binDirectory, name)
    if (await isExecutable(path)) tools[key] = path
  }
  return { ...parsed, source, binDirectory, environment, tools: { postgres, initdb, ...tools } }
}

async function configuredDirectory(pgConfig: string): Promise<string | undefined> {
  if (!(await isExecutable(pgConfig))) return undefined
  const answer = await runProgram(pgConfig, ['--bindir'], {
    environment: { PATH: '/usr/bin:/bin' },
    deadlineMs: 10_000,
  }).catch(() => undefined)
  return answer?.stdout.trim()
}

/** Where the server of a directory really lies: packages put links to it into `/usr/bin` and the like. */
async function programDirectory(directory: string): Promise<string | undefined> {
  return realpath(join(directory, 'postgres')).then(dirname, () => undefined)
}

async function isExecutable(path: string): Promise<boolean> {
  return access(path, constants.X_OK).then(
    () => true,
    () => false,
  )
}

function newestFirst(installations: readonly Installation[]): readonly Installation[] {
  return installations.toSorted((a, b) => b.major - a.major)
}
