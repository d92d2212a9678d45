import { createInterface } from 'node:readline'
import { Readable } from 'node:stream'
import type { ConnectionTarget } from '../../postgres/connection-target.ts'
import type { Installation } from '../../postgres/installation.ts'
import { withSql } from '../../postgres/sql.ts'
import { Fault } from '../../std/fault.ts'
import { chooseTool, openClientLogin, readServerVersion } from './client-tools.ts'
import { judgeGlobalsLine } from './core/globals-filter.ts'
import { dumpFaults } from './faults.ts'
import type { InspectedDump } from './inspect-dump.ts'
import { ProgramFailed, feedProgram } from './stream-program.ts'

export interface LoadedGlobals {
  readonly createdRoles: readonly string[]
  readonly skippedTablespaceLines: number
}

const rolesQuery = 'select rolname::text as name from pg_roles order by 1'

/**
 * Creates the roles of a dump of globals that the server does not have yet, in one transaction. Roles that are there are
 * not touched; tablespaces are left out.
 */
export async function loadGlobals(
  dump: InspectedDump,
  target: ConnectionTarget,
  options: { readonly installations: readonly Installation[]; readonly signal?: AbortSignal | undefined },
): Promise<LoadedGlobals> {
  const { signal } = options
  if (dump.content !== 'globals') {
    const message = `Cannot load roles from ${dump.source.name}: it is not the output of pg_dumpall --globals-only`
    throw new Fault(dumpFaults['dump-format-unsupported'], message, {
      hint: 'Give the dump of a database as FILE, and the file whose name begins with `globals-` as `--globals FILE`.',
    })
  }
  return await withSql(target, { signal }, async (sql) => {
    const tool = chooseTool(options.installations, 'psql', (await readServerVersion(sql)).major)
    const roles = async (): Promise<readonly string[]> =>
      (await sql.query<{ name: string }>(rolesQuery)).map(({ name }) => name)
    const present = new Set(await roles())
    let skippedTablespaceLines = 0
    async function* wanted(): AsyncGenerator<Uint8Array> {
      const input = Readable.from(dump.open(signal), { objectMode: false })
      let failure: unknown
      const lines = createInterface({ input, crlfDelay: Number.POSITIVE_INFINITY })
      input.on('error', (error) => {
        failure = error
        lines.close()
      })
      for await (const line of lines) {
        const verdict = judgeGlobalsLine(line, present)
        if (verdict === 'tablespace') skippedTablespaceLines += 1
        if (verdict === 'run') yield Buffer.from(`${line}\n`)
      }
      if (failure !== undefined) throw failure
    }
    await using login = await openClientLogin(tool, target)
    try {
      await feedProgram(tool.path, [...psqlFlags, '--single-transaction'], login, wanted(), signal)
    } catch (error) {
      if (!(error instanceof ProgramFailed)) throw error
      const message = `Cannot load the roles of ${dump.source.name}: ${error.message}`
      throw new Fault(dumpFaults['dump-load-failed'], message, { cause: error })
    }
    const createdRoles = (await roles()).filter((name) => !present.has(name))
    return { createdRoles, skippedTablespaceLines }
  })
}

/** Stops at the first error, and reads nothing of the user's own. */
export const psqlFlags = ['--no-psqlrc', '--quiet', '--no-password', '--set=ON_ERROR_STOP=1', '--file=-']
