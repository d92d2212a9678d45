import { dumpRecordToJson } from '../../backup/dump/core/dump-record.ts'
import type { DumpRecord } from '../../backup/dump/core/dump-record.ts'
import { listDumps } from '../../backup/dump/list-dumps.ts'
import type { DumpCatalogue } from '../../backup/dump/list-dumps.ts'
import type { Config } from '../../config/schema.ts'
import { describeBytes } from '../../std/byte-size.ts'
import { describeElapsed } from '../../std/duration.ts'
import type { CommandContext } from '../command.ts'
import { chooseRepository, openConfiguredRepository } from '../open-configured.ts'
import { formatTable } from '../terminal/table.ts'

export async function runDumps(
  config: Config,
  context: CommandContext,
  options: { readonly repository: string | undefined },
): Promise<'ok' | 'notFound' | 'integrity'> {
  const { output, signal } = context
  const chosen =
    options.repository === undefined && config.repositories.length > 0
      ? config.repositories
      : [chooseRepository(config, options.repository)]
  const listings: (DumpCatalogue & { readonly repository: string })[] = []
  for (const repository of chosen) {
    await using opened = await openConfiguredRepository(repository, context)
    listings.push({ repository: opened.name, ...(await listDumps(opened.repository, config.cluster, { signal })) })
  }
  const documents = listings.map((listing) => ({ ...listing, dumps: listing.dumps.map(dumpRow) }))
  if (context.json) output.printJson(documents)
  else output.print(listings.map((listing) => render(listing, context.clock.wall())).join('\n\n'))
  if (listings.some(({ damaged }) => damaged.length > 0)) return 'integrity'
  return listings.every(({ dumps }) => dumps.length === 0) ? 'notFound' : 'ok'
}

/** A dump as `dump --json` and `dumps --json` print it. */
export function dumpRow(record: DumpRecord): Readonly<Record<string, unknown>> {
  const { format: _, ...row } = dumpRecordToJson(record)
  return row
}

function render({ repository, dumps, damaged }: DumpCatalogue & { readonly repository: string }, now: number): string {
  const rows = dumps.map((dump) => [
    dump.file,
    dump.database ?? '(roles)',
    `${describeElapsed(now - dump.endedAt)} ago`,
    describeElapsed(dump.durationMs),
    describeBytes(dump.sizeBytes),
    String(dump.tables),
    dump.serverVersion,
  ])
  const header = ['dump', 'database', 'ended', 'took', 'size', 'tables', 'version']
  return [
    `repository ${repository}: ${dumps.length === 0 ? 'no dump' : dumps.length}`,
    ...(rows.length === 0 ? [] : [formatTable(header, rows, [3, 4, 5])]),
    ...damaged.map(({ file, because }) => `! ${file}: ${because}`),
  ].join('\n')
}
