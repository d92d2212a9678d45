import { open, rename, rm } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'
import { openClientLogin } from '../../backup/dump/client-tools.ts'
import { ProgramFailed, readProgram } from '../../backup/dump/stream-program.ts'
import type { Config } from '../../config/schema.ts'
import type { ConnectionTarget } from '../../postgres/connection-target.ts'
import { quoteIdentifier } from '../../postgres/core/quoting.ts'
import { findInstallations, installationSearch } from '../../postgres/installation.ts'
import { withSql } from '../../postgres/sql.ts'
import { describeRecoveryTarget } from '../../restore/core/target.ts'
import { restoreFaults } from '../../restore/faults.ts'
import { planFromRepository } from '../../restore/plan-from-repository.ts'
import type { PlannedRestore } from '../../restore/plan-from-repository.ts'
import { openSandbox } from '../../restore/sandbox.ts'
import type { Sandbox } from '../../restore/sandbox.ts'
import { diskFault, syncDirectory } from '../../std/durable-file.ts'
import { describeElapsed } from '../../std/duration.ts'
import { Fault } from '../../std/fault.ts'
import type { CommandContext } from '../command.ts'
import { cliFaults } from '../faults.ts'
import { localSuperuser } from '../local-server.ts'
import { chooseRepository, openConfiguredRepository } from '../open-configured.ts'
import { openProgressReport } from '../terminal/progress-report.ts'
import { installationFor } from './installation-for.ts'
import { chooseRescueTools, createDatabaseLike, dumpFlags, dumpInto, requireFree } from './load-beside.ts'
import type { RescueTools } from './load-beside.ts'
import { moveTableAside, requireTable } from './prepare-table.ts'
import { describeSubject, nameBeside } from './rescue-names.ts'
import type { RescueSubject } from './rescue-names.ts'
import { restoreRequest } from './restore-request.ts'
import type { TargetOptions } from './restore-request.ts'

export interface RescueOptions extends TargetOptions {
  /** The name of the database, or of the schema, to load into; by default one that tells what it is. */
  readonly as: string | undefined
  /** A file for pg_restore instead of loading. */
  readonly output: string | undefined
  /** Where the sandbox goes. */
  readonly scratch: string | undefined
  readonly repository: string | undefined
  readonly set: Readonly<Record<string, string>> | undefined
  readonly workers: number | undefined
}

/**
 * Brings back one database or table: restores the cluster into a sandbox at the target, dumps from there, and loads
 * beside the original, never over it, or writes a file for pg_restore.
 */
export async function runRescueCommand(
  config: Config,
  context: CommandContext,
  subject: RescueSubject,
  options: RescueOptions,
): Promise<'ok'> {
  const { clock, signal, output } = context
  if (process.getuid?.() === 0) throw new Fault(cliFaults['cli-runs-as-root'], 'Cannot restore: this is root')
  const startedAt = clock.monotonic()
  await using opened = await openConfiguredRepository(chooseRepository(config, options.repository), { clock, signal })
  const planned = await planFromRepository(opened.repository, config.cluster, restoreRequest(options), { signal })
  const installation = await installationFor(config, context, planned)
  // Everything that could stand in the way at the end is looked at before anything is fetched.
  const installations = await findInstallations(installationSearch(context.environment, process.getuid?.() ?? 0))
  const tools = chooseRescueTools(installations, installation.major)
  const goal = await chooseGoal(config, context, subject, options)
  const report = openProgressReport(context)
  try {
    await using sandbox = await openSandbox(opened.repository, planned, {
      installation,
      parentDirectory: resolve(context.workingDirectory, options.scratch ?? config.node.stateDirectory),
      superuser: config.postgres.superuser.name,
      workers: options.workers,
      parameters: options.set,
      clock,
      signal,
      onProgress: ({ step, progress }) =>
        report(step === 'files' ? `${progress.stage} files` : 'replaying WAL', progress),
    })
    output.progress(`rescuing ${describeSubject(subject)}`)
    await requireDatabase(sandbox, subject)
    const what = await carryOver(sandbox, subject, goal, tools, signal)
    output.progress('')
    const tookMs = Math.round(clock.monotonic() - startedAt)
    if (context.json) output.printJson({ rescued: { ...subject, ...what }, ...cameFrom(planned, sandbox), tookMs })
    else
      output.print(
        `${describeSubject(subject)} as of ${describeRecoveryTarget(planned.plan.target)} ${describeGoal(subject, goal)} (${describeElapsed(tookMs)})`,
      )
    return 'ok'
  } finally {
    output.progress('')
  }
}

type Goal =
  | { readonly kind: 'file'; readonly path: string }
  | { readonly kind: 'server'; readonly target: ConnectionTarget; readonly name: string }

async function chooseGoal(
  config: Config,
  { workingDirectory, clock }: CommandContext,
  subject: RescueSubject,
  options: RescueOptions,
): Promise<Goal> {
  if (options.output !== undefined) return { kind: 'file', path: resolve(workingDirectory, options.output) }
  const target = await localSuperuser(config)
  const name = options.as ?? nameBeside(subject, clock.wall())
  await withSql(target, {}, async (sql) => {
    const [row] = await sql.query<{ standby: boolean }>('select pg_is_in_recovery() as standby')
    if (row?.standby !== true) return
    const message = 'Cannot load what is rescued: the server of this node is a standby'
    throw new Fault(restoreFaults['restore-load-failed'], message, { hint: 'Run it on the primary, or give --output.' })
  })
  if (subject.kind === 'database') await requireFree(target, 'database', name)
  else await requireFree({ ...target, database: subject.database }, 'schema', name)
  return { kind: 'server', target, name }
}

async function requireDatabase({ connection }: Sandbox, subject: RescueSubject): Promise<void> {
  const rows = await withSql(connection, {}, (sql) =>
    sql.query<{ name: string }>('select datname::text as name from pg_database where datallowconn order by 1'),
  )
  const names = rows.map(({ name }) => name)
  if (names.includes(subject.database)) return
  const message = `Cannot rescue ${describeSubject(subject)}: at that moment there were the databases ${names.join(', ')}`
  throw new Fault(restoreFaults['restore-subject-missing'], message, { details: { databases: names } })
}

async function carryOver(
  sandbox: Sandbox,
  subject: RescueSubject,
  goal: Goal,
  tools: RescueTools,
  signal: AbortSignal,
): Promise<object> {
  const from = { ...sandbox.connection, database: subject.database }
  if (subject.kind === 'table') await withSql(from, { signal }, (sql) => requireTable(sql, subject))
  if (goal.kind === 'file') {
    const table =
      subject.kind === 'table' ? [`--table=${quoteIdentifier(subject.schema)}.${quoteIdentifier(subject.table)}`] : []
    await writeDumpFile(from, table, goal.path, tools, signal)
    return { file: goal.path }
  }
  const { target, name } = goal
  if (subject.kind === 'table') {
    await withSql(from, { signal }, (sql) => moveTableAside(sql, subject, name))
    const into = { ...target, database: subject.database }
    await dumpInto({ from, flags: [`--schema=${quoteIdentifier(name)}`], into, tools, signal })
    return { schema: name }
  }
  await withSql(target, { signal }, async (server) => {
    await withSql(from, { signal }, (copy) => createDatabaseLike(copy, server, subject.database, name))
    try {
      await dumpInto({ from, flags: [], into: { ...target, database: name }, tools, signal })
    } catch (error) {
      // It was made for this alone. When the server is gone as well, the first error says it better.
      await server.query(`drop database ${quoteIdentifier(name)} with (force)`).catch(() => undefined)
      throw error
    }
  })
  return { as: name }
}

/** The file is there whole or not at all, and only its owner reads it: nothing in it is encrypted. */
async function writeDumpFile(
  from: ConnectionTarget,
  flags: readonly string[],
  path: string,
  tools: RescueTools,
  signal: AbortSignal,
): Promise<void> {
  const temporary = `${path}.part`
  await using login = await openClientLogin(tools.dump, from)
  try {
    {
      await using file = await open(temporary, 'wx', 0o600)
      for await (const chunk of readProgram(tools.dump.path, [...dumpFlags, ...flags], login, signal))
        await file.writeFile(chunk)
      await file.sync()
    }
    await rename(temporary, path)
    await syncDirectory(dirname(path))
  } catch (error) {
    await rm(temporary, { force: true })
    const reason = error instanceof ProgramFailed ? error.message : (error as NodeJS.ErrnoException).code
    if (error instanceof Fault || reason === undefined || signal.aborted) throw error
    const full = diskFault(error, path)
    if (full instanceof Fault) throw full
    throw new Fault(restoreFaults['restore-load-failed'], `Cannot write ${path}: ${reason}`, { cause: error })
  }
}

function cameFrom({ plan }: PlannedRestore, { files, recoveryMs, stoppedAt }: Sandbox): object {
  return {
    backup: plan.backup.id,
    target: describeRecoveryTarget(plan.target),
    stoppedAt: stoppedAt ?? null,
    filesMs: Math.round(files.elapsedMs),
    recoveryMs: Math.round(recoveryMs),
  }
}

function describeGoal(subject: RescueSubject, goal: Goal): string {
  if (goal.kind === 'file') return `is in ${goal.path}, for pg_restore; it is not encrypted`
  if (subject.kind === 'database') return `is beside the original as database ${goal.name}`
  return `is beside the original as ${goal.name}.${subject.table}, without foreign keys and triggers`
}
