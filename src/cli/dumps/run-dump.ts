import { resolve } from 'node:path'
import type { DumpContent } from '../../backup/dump/core/dump-name.ts'
import { openDirectorySink } from '../../backup/dump/directory-sink.ts'
import { openRepositorySink } from '../../backup/dump/repository-sink.ts'
import { takeDumps } from '../../backup/dump/take-dumps.ts'
import type { DumpOutcome } from '../../backup/dump/take-dumps.ts'
import type { Config } from '../../config/schema.ts'
import { findInstallations, installationSearch } from '../../postgres/installation.ts'
import { describeBytes } from '../../std/byte-size.ts'
import { describeElapsed } from '../../std/duration.ts'
import type { CommandContext } from '../command.ts'
import { localSuperuser } from '../local-server.ts'
import { chooseWritten, openOrCreateRepository } from '../open-configured.ts'
import { openProgressLine } from '../terminal/progress-line.ts'
import { dumpRecipients } from './dump-keys.ts'
import { dumpRow } from './run-dumps.ts'

export async function runDump(
  config: Config,
  context: CommandContext,
  options: {
    readonly database: string | undefined
    readonly format: DumpContent | undefined
    readonly to: string | undefined
    readonly repository: string | undefined
    readonly passphraseFile: string | undefined
    readonly recipient: readonly string[] | undefined
  },
): Promise<'ok' | 'failed'> {
  const { clock, signal, output } = context
  await using stack = new AsyncDisposableStack()
  const recipients = await dumpRecipients(config, options)
  const target = await localSuperuser(config)
  const sink =
    options.to === undefined
      ? openRepositorySink(
          stack.use(await openOrCreateRepository(chooseWritten(config, options.repository), { clock, signal }))
            .repository,
          config.cluster,
        )
      : await openDirectorySink(resolve(context.workingDirectory, options.to))
  const line = openProgressLine(clock)
  const search = installationSearch(context.environment, process.getuid?.() ?? 0)
  try {
    const outcomes = await takeDumps(
      {
        target,
        installations: await findInstallations(search),
        database: options.database === 'all' ? undefined : options.database,
        content: options.format ?? 'custom',
        recipients,
        sink,
        cluster: config.cluster,
        node: config.node.name,
      },
      { clock, signal, onProgress: (file, bytes) => output.progress(line(bytes, undefined, `dumping ${file}`)) },
    )
    if (context.json) output.printJson({ place: sink.description, dumps: outcomes.map(outcomeDocument) })
    else output.print([`dumps in ${sink.description}`, ...outcomes.map(describeOutcome)].join('\n'))
    return outcomes.every(({ outcome }) => outcome === 'ok') ? 'ok' : 'failed'
  } finally {
    output.progress('')
  }
}

function describeOutcome(result: DumpOutcome): string {
  if (result.outcome === 'failed') return `! ${result.fault.message}\n    ${result.fault.hint}`
  const { file, database, tables, sizeBytes, durationMs } = result.record
  const holds = database === null ? `${tables} roles` : `${tables} tables`
  return `  ${file}: ${holds}, ${describeBytes(sizeBytes)}, ${describeElapsed(durationMs)}`
}

function outcomeDocument(result: DumpOutcome): object {
  if (result.outcome === 'ok') return dumpRow(result.record)
  return { file: result.file, database: result.database, outcome: 'failed', error: result.fault.toJSON() }
}
