import { createHash, randomBytes } from 'node:crypto'
import type { ConnectionTarget } from '../../postgres/connection-target.ts'
import type { Installation } from '../../postgres/installation.ts'
import { withSql } from '../../postgres/sql.ts'
import type { Sql } from '../../postgres/sql.ts'
import { encodeCheckedJson } from '../../repository/checked-json.ts'
import type { KeyRecipients } from '../../repository/openpgp-keys.ts'
import type { Clock } from '../../std/clock.ts'
import { Fault } from '../../std/fault.ts'
import { chooseTool, openClientLogin, readServerVersion } from './client-tools.ts'
import type { ClientTool } from './client-tools.ts'
import { dumpFileName } from './core/dump-name.ts'
import type { DumpContent } from './core/dump-name.ts'
import { dumpRecordToJson } from './core/dump-record.ts'
import type { DumpRecord } from './core/dump-record.ts'
import { countTables } from './database-facts.ts'
import type { DumpSink } from './dump-sink.ts'
import { dumpFaults } from './faults.ts'
import { sealMessage } from './openpgp/seal-message.ts'
import { ProgramFailed, readProgram } from './stream-program.ts'

export interface DumpRequest {
  /** A superuser's connection to any database of the server; a standby will do. */
  readonly target: ConnectionTarget
  readonly installations: readonly Installation[]
  /** Undefined: every database that accepts connections and is no template. */
  readonly database: string | undefined
  readonly content: DumpContent
  readonly recipients: KeyRecipients
  readonly sink: DumpSink
  readonly cluster: string
  readonly node: string
}

export interface DumpOptions {
  readonly clock: Clock
  readonly signal?: AbortSignal | undefined
  readonly onProgress?: ((file: string, plainBytes: number) => void) | undefined
}

/** What came of one file of a run. A database that cannot be dumped does not keep the others from it. */
export type DumpOutcome =
  | { readonly outcome: 'ok'; readonly record: DumpRecord }
  | { readonly outcome: 'failed'; readonly file: string; readonly database: string | null; readonly fault: Fault }

/** Dumps databases, and the roles that they need, each into an encrypted file of its own. Interruption throws. */
export async function takeDumps(request: DumpRequest, options: DumpOptions): Promise<readonly DumpOutcome[]> {
  const { recipients, target } = request
  if (recipients.passphrase === undefined && (recipients.recipients ?? []).length === 0) {
    throw new Fault(dumpFaults['dump-no-key'], 'Cannot encrypt a dump: neither a passphrase nor a recipient was given')
  }
  const { signal } = options
  const server = await withSql(target, { signal }, async (sql) => ({
    ...(await readServerVersion(sql)),
    databases: request.database === undefined ? await listDatabases(sql) : [request.database],
  }))
  const dumpTool = chooseTool(request.installations, 'pgDump', server.major)
  const globalsTool = chooseTool(request.installations, 'pgDumpall', server.major)
  const run = `${new Date(options.clock.wall()).toISOString().replaceAll(/[-:]|\.\d+/g, '')}-${randomBytes(4).toString('hex')}`
  const results: DumpOutcome[] = []
  for (const database of [undefined, ...server.databases]) {
    const content = database === undefined ? 'plain' : request.content
    const file = dumpFileName({ database, run, content }, shortHash)
    const one = { request, options, file, content, serverVersion: server.version }
    try {
      const record =
        database === undefined ? await dumpGlobals(one, globalsTool) : await dumpDatabase(one, dumpTool, database)
      results.push({ outcome: 'ok', record })
    } catch (error) {
      signal?.throwIfAborted()
      if (!(error instanceof Fault)) throw error
      results.push({ outcome: 'failed', file, database: database ?? null, fault: error })
    }
  }
  return results
}

interface OneDump {
  readonly request: DumpRequest
  readonly options: DumpOptions
  readonly file: string
  readonly content: DumpContent
  readonly serverVersion: string
}

/** In a snapshot that the count of tables shares, so that loading the dump can be held against it. */
async function dumpDatabase(dump: OneDump, tool: ClientTool, database: string): Promise<DumpRecord> {
  const target = { ...dump.request.target, database }
  return await withSql(target, { signal: dump.options.signal }, async (sql) => {
    await sql.query('begin isolation level repeatable read, read only')
    const [row] = await sql.query<{ bytes: string; snapshot: string }>(
      'select pg_database_size(current_database()) as bytes, pg_export_snapshot() as snapshot',
    )
    const flags = [`--format=${dump.content}`, `--snapshot=${row?.snapshot}`, '--no-password']
    const facts = { databaseBytes: Number(row?.bytes), tables: await countTables(sql) }
    return await writeDump(dump, tool, { database, target, flags, facts })
  })
}

async function dumpGlobals(dump: OneDump, tool: ClientTool): Promise<DumpRecord> {
  const { target } = dump.request
  const tables = await withSql(target, { signal: dump.options.signal }, async (sql) => {
    const [row] = await sql.query<{ roles: string }>(`select count(*) as roles from pg_roles where rolname !~ '^pg_'`)
    return Number(row?.roles)
  })
  const flags = ['--globals-only', '--no-password', `--database=${target.database}`]
  return await writeDump(dump, tool, { database: null, target, flags, facts: { databaseBytes: 0, tables } })
}

async function writeDump(
  { request, options, file, content, serverVersion }: OneDump,
  tool: ClientTool,
  what: {
    readonly database: string | null
    readonly target: ConnectionTarget
    readonly flags: readonly string[]
    readonly facts: { readonly databaseBytes: number; readonly tables: number }
  },
): Promise<DumpRecord> {
  const { clock, signal, onProgress } = options
  const startedAt = clock.wall()
  const started = clock.monotonic()
  await using login = await openClientLogin(tool, what.target)
  let plainBytes = 0
  async function* counted(): AsyncGenerator<Uint8Array> {
    for await (const chunk of readProgram(tool.path, what.flags, login, signal)) {
      plainBytes += chunk.length
      onProgress?.(file, plainBytes)
      yield chunk
    }
  }
  const sealed = sealMessage(counted(), request.recipients, { compress: content === 'plain' })
  let record: DumpRecord | undefined
  const describe: Parameters<DumpSink['store']>[2] = (stored) => {
    record = {
      file,
      outcome: 'ok',
      cluster: request.cluster,
      node: request.node,
      database: what.database,
      content,
      startedAt,
      endedAt: clock.wall(),
      durationMs: Math.round(clock.monotonic() - started),
      sizeBytes: stored.sizeBytes,
      fileSha256: stored.sha256,
      plainBytes,
      ...what.facts,
      serverVersion,
      toolVersion: tool.installation.version,
      parts: stored.parts,
    }
    return encodeCheckedJson(dumpRecordToJson(record))
  }
  try {
    await request.sink.store(file, sealed, describe, signal)
  } catch (error) {
    if (!(error instanceof ProgramFailed)) throw error
    const subject = what.database === null ? 'the roles' : `database ${what.database}`
    const message = `Cannot dump ${subject} with ${tool.path}: ${error.message}`
    throw new Fault(dumpFaults['dump-failed'], message, { cause: error, details: { database: what.database } })
  }
  if (record === undefined) throw new Error('a dump was stored without its record')
  return record
}

async function listDatabases(sql: Sql): Promise<readonly string[]> {
  const rows = await sql.query<{ name: string }>(
    'select datname::text as name from pg_database where datallowconn and not datistemplate order by 1',
  )
  return rows.map(({ name }) => name)
}

function shortHash(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 8)
}
