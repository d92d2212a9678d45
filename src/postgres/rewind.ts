import { Fault } from '../std/fault.ts'
import { lastLines, runProgramToEnd } from '../std/run-program.ts'
import { describeTarget } from './connection-target.ts'
import type { ConnectionTarget } from './connection-target.ts'
import { renderPassFileLine } from './core/pass-file.ts'
import { quoteConninfoValue } from './core/quoting.ts'
import { parseRewindOutput } from './core/rewind-output.ts'
import type { RewindResult } from './core/rewind-output.ts'
import { postgresFaults } from './faults.ts'
import type { Installation } from './installation.ts'
import { handedFilePath, openNamelessFile } from './nameless-file.ts'
import { programEnvironment } from './program-environment.ts'
import { requireStopped } from './server.ts'

export interface RewindOptions {
  /** Only tell what would be done. */
  readonly dryRun: boolean
  readonly deadlineMs: number
  readonly signal?: AbortSignal | undefined
}

/**
 * Turns a stopped former primary into what the source was when the two parted, with pg_rewind. The source's user must
 * be a superuser. Afterwards the directory has the configuration files of the source: write `holdfast.conf`,
 * `pg_hba.conf` and the signal file before starting. When it fails the directory may be half rewound and must not be
 * started: rewind again or clone.
 */
export async function rewindDataDirectory(
  installation: Installation,
  dataDirectory: string,
  source: ConnectionTarget,
  options: RewindOptions,
): Promise<RewindResult> {
  const { pgRewind } = installation.tools
  if (pgRewind === undefined) {
    throw new Fault(
      postgresFaults['postgres-rewind-failed'],
      `Cannot rewind ${dataDirectory}: there is no pg_rewind in ${installation.binDirectory}`,
      { hint: 'Clone the standby again; embedded PostgreSQL comes without pg_rewind.' },
    )
  }
  await requireStopped(dataDirectory)
  const entry = { host: '*', port: '*', database: '*', user: source.user } as const
  await using passFile = await openNamelessFile(renderPassFileLine(entry, source.password.reveal()))
  const result = await runProgramToEnd(
    pgRewind,
    [
      `--target-pgdata=${dataDirectory}`,
      `--source-server=${sourceConninfo(source)}`,
      ...(options.dryRun ? ['--dry-run'] : []),
    ],
    {
      environment: programEnvironment(installation),
      workingDirectory: dataDirectory,
      deadlineMs: options.deadlineMs,
      fileDescriptor: passFile.fd,
      signal: options.signal,
    },
  )
  const output = `${result.stdout}\n${result.stderr}`
  const parsed = result.exitCode === 0 ? parseRewindOutput(output) : undefined
  if (parsed !== undefined) return parsed
  throw new Fault(
    postgresFaults['postgres-rewind-failed'],
    `Cannot rewind ${dataDirectory} to ${describeTarget(source)}: ${lastLines(output, 5)}`,
    { details: { dataDirectory, exitCode: result.exitCode } },
  )
}

function sourceConninfo(source: ConnectionTarget): string {
  const parts: Record<string, string> = {
    host: source.host,
    port: String(source.port),
    user: source.user,
    dbname: source.database,
    passfile: handedFilePath,
    connect_timeout: '5',
    sslmode: source.tls?.mode ?? 'prefer',
    application_name: 'holdfast rewind',
  }
  return Object.entries(parts)
    .map(([name, value]) => `${name}=${quoteConninfoValue(value)}`)
    .join(' ')
}
