import type { ConnectionTarget } from '../../postgres/connection-target.ts'
import { renderPassFileLine } from '../../postgres/core/pass-file.ts'
import type { Installation, Tools } from '../../postgres/installation.ts'
import { handedFilePath, openNamelessFile } from '../../postgres/nameless-file.ts'
import { programEnvironment } from '../../postgres/program-environment.ts'
import type { Sql } from '../../postgres/sql.ts'
import { Fault } from '../../std/fault.ts'
import { dumpFaults } from './faults.ts'

/** One of PostgreSQL's client programs, and the installation that it is from. */
export interface ClientTool {
  readonly path: string
  readonly installation: Installation
}

const programNames = { pgDump: 'pg_dump', pgDumpall: 'pg_dumpall', pgRestore: 'pg_restore', psql: 'psql' } as const

/**
 * The program from the oldest installation that is not older than the server: pg_dump refuses newer servers, and what an
 * older release writes is read by more. Throws `dump-tools-missing`.
 */
export function chooseTool(
  installations: readonly Installation[],
  name: keyof typeof programNames & keyof Tools,
  serverMajor: number,
): ClientTool {
  const fit = installations
    .filter(({ major, tools }) => major >= serverMajor && tools[name] !== undefined)
    .toSorted((a, b) => a.major - b.major)
  const path = fit[0]?.tools[name]
  if (fit[0] !== undefined && path !== undefined) return { path, installation: fit[0] }
  const found = installations.flatMap(({ tools, version }) => (tools[name] === undefined ? [] : [version]))
  const have = found.length === 0 ? 'there is none' : `found ${found.join(', ')}`
  const message = `Cannot find a ${programNames[name]} for PostgreSQL ${serverMajor}: ${have}`
  throw new Fault(dumpFaults['dump-tools-missing'], message, { details: { serverMajor, found } })
}

/** What a client program needs to connect without a password on its command line or in its environment. */
export interface ClientLogin extends AsyncDisposable {
  readonly environment: Readonly<Record<string, string>>
  /** To be the program's descriptor 3. */
  readonly passFileDescriptor: number
}

export async function openClientLogin(tool: ClientTool, target: ConnectionTarget): Promise<ClientLogin> {
  const entry = { host: '*', port: '*', database: '*', user: target.user } as const
  const passFile = await openNamelessFile(renderPassFileLine(entry, target.password.reveal()))
  return {
    environment: programEnvironment(tool.installation, {
      PGHOST: target.host,
      PGPORT: String(target.port),
      PGUSER: target.user,
      PGDATABASE: target.database,
      PGPASSFILE: handedFilePath,
      PGSSLMODE: target.tls?.mode ?? 'prefer',
      PGCONNECT_TIMEOUT: '10',
      PGAPPNAME: 'holdfast dump',
    }),
    passFileDescriptor: passFile.fd,
    [Symbol.asyncDispose]: () => passFile.close(),
  }
}

/** The release of a server: 15, and 15.18. */
export async function readServerVersion(sql: Sql): Promise<{ readonly major: number; readonly version: string }> {
  const [row] = await sql.query<{ number: string; version: string }>(
    `select current_setting('server_version_num') as number, current_setting('server_version') as version`,
  )
  return { major: Math.floor(Number(row?.number) / 10_000), version: (row?.version ?? '').split(' ')[0] ?? '' }
}
