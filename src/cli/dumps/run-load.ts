import { resolve } from 'node:path'
import { openFileSource, openRepositorySource } from '../../backup/dump/dump-source.ts'
import type { DumpSource } from '../../backup/dump/dump-source.ts'
import { inspectDump } from '../../backup/dump/inspect-dump.ts'
import { loadDump } from '../../backup/dump/load-dump.ts'
import type { LoadResult } from '../../backup/dump/load-dump.ts'
import { loadGlobals } from '../../backup/dump/load-globals.ts'
import type { LoadedGlobals } from '../../backup/dump/load-globals.ts'
import type { Config } from '../../config/schema.ts'
import { findInstallations, installationSearch } from '../../postgres/installation.ts'
import { describeBytes } from '../../std/byte-size.ts'
import { describeElapsed } from '../../std/duration.ts'
import { Fault } from '../../std/fault.ts'
import type { CommandContext } from '../command.ts'
import { cliFaults } from '../faults.ts'
import { localSuperuser } from '../local-server.ts'
import { openForReading } from '../open-configured.ts'
import { dumpAccess } from './dump-keys.ts'

export async function runLoad(
  config: Config,
  context: CommandContext,
  options: {
    readonly dump: string
    readonly into: string | undefined
    readonly create: boolean
    readonly globals: string | undefined
    readonly repository: string | undefined
    readonly passphraseFile: string | undefined
    readonly privateKeyFile: string | undefined
  },
): Promise<'ok' | 'degraded'> {
  const { clock, signal, output } = context
  if (options.create && options.into === undefined) {
    throw new Fault(cliFaults['cli-usage'], 'Cannot load with `--create` alone: it makes the database of `--into`')
  }
  const started = clock.monotonic()
  await using stack = new AsyncDisposableStack()
  const access = await dumpAccess(config, options)
  const target = await localSuperuser(config)
  const search = installationSearch(context.environment, process.getuid?.() ?? 0)
  const tools = { installations: await findInstallations(search), signal }
  const find = await dumpFinder(config, context, options.repository, stack)
  const inspect = async (name: string): ReturnType<typeof inspectDump> => {
    output.progress(`checking ${name}`)
    return await inspectDump(await find(name), access, signal)
  }
  try {
    const dump = await inspect(options.dump)
    const globals = options.globals === undefined ? undefined : await inspect(options.globals)
    output.progress(`loading ${options.dump}`)
    const roles = globals === undefined ? null : await loadGlobals(globals, target, tools)
    const result =
      dump.content === 'globals'
        ? await loadGlobals(dump, target, tools)
        : await loadDump({ dump, target, ...tools, into: options.into, create: options.create }, signal)
    const durationMs = Math.round(clock.monotonic() - started)
    if (context.json) output.printJson({ dump: options.dump, content: dump.content, roles, ...result, durationMs })
    else output.print([...(roles ? [describeRoles(roles)] : []), describe(options.dump, result, durationMs)].join('\n'))
    const complete = 'createdRoles' in result || result.tables === (result.expectedTables ?? result.tables)
    return complete ? 'ok' : 'degraded'
  } finally {
    output.progress('')
  }
}

async function dumpFinder(
  config: Config,
  { workingDirectory, clock, signal }: CommandContext,
  repository: string | undefined,
  stack: AsyncDisposableStack,
): Promise<(name: string) => Promise<DumpSource>> {
  if (repository === undefined) return (name) => openFileSource(resolve(workingDirectory, name))
  const opened = stack.use(await openForReading(config, repository, { clock, signal }))
  return (name) => openRepositorySource(opened.repository, config.cluster, name, signal)
}

function describe(name: string, result: LoadResult | LoadedGlobals, durationMs: number): string {
  if ('createdRoles' in result) return describeRoles(result)
  const { database, tables, expectedTables, databaseBytes } = result
  const where = database === null ? 'loads (into a scratch database that is gone again)' : `is loaded into ${database}`
  const missing =
    expectedTables === null || expectedTables === tables ? '' : `; ${expectedTables} were recorded when it was dumped`
  return `${name} ${where}: ${tables} tables${missing}, ${describeBytes(databaseBytes)}, ${describeElapsed(durationMs)}`
}

function describeRoles({ createdRoles, skippedTablespaceLines }: LoadedGlobals): string {
  const created = createdRoles.length === 0 ? 'none was missing' : `created ${createdRoles.join(', ')}`
  const skipped = skippedTablespaceLines === 0 ? '' : `; ${skippedTablespaceLines} lines about tablespaces left out`
  return `roles: ${created}${skipped}`
}
