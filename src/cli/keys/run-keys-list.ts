import type { Config } from '../../config/schema.ts'
import { openedKeys, readKeyObjects } from '../../repository/key-objects.ts'
import type { KeyObject } from '../../repository/key-objects.ts'
import type { CommandContext } from '../command.ts'
import { repositoryAccess } from '../open-configured.ts'
import { formatTable } from '../terminal/table.ts'
import { openKeyPlaces } from './key-places.ts'

/** Lists who opens a repository, and with which data keys. */
export async function runKeysList(
  config: Config,
  context: CommandContext,
  options: { readonly repository: string | undefined },
): Promise<'ok' | 'refused' | 'integrity'> {
  const { output, signal } = context
  await using places = await openKeyPlaces(config, options.repository, context)
  const { main } = places
  const access = await repositoryAccess(main.config)
  const objects = await readKeyObjects(main.store, main.id, { ...access, signal })
  const keys = openedKeys(objects)
  const current = keys[0]?.id ?? null
  const dataKeys = [...new Set(objects.flatMap(({ dataKey }) => dataKey ?? []))]
  const unopened = dataKeys.filter((id) => keys.every((key) => key.id !== id))
  const documents = objects.map((object) => keyDocument(object, current))
  if (context.json) {
    output.printJson({ repository: main.name, currentDataKey: current, unopenedDataKeys: unopened, keys: documents })
  } else {
    const amount = `${dataKeys.length} data key${dataKeys.length === 1 ? '' : 's'}`
    const header = ['name', 'opens with', 'data key', '', 'made', 'opened here']
    const rows = documents.map((row) => [
      row.name,
      describeProtection(row),
      row.dataKey ?? '?',
      row.current ? 'current' : '',
      row.createdAt ?? '?',
      row.state === 'opened' ? 'yes' : row.state === 'closed' ? 'no' : `damaged: ${row.because}`,
    ])
    output.print(
      [
        `repository ${main.name}: ${amount}`,
        formatTable(header, rows),
        ...unopened.map((id) => `! the configured secrets do not open the data key ${id}`),
      ].join('\n'),
    )
  }
  if (objects.some(({ state }) => state.kind === 'damaged')) return 'integrity'
  return unopened.length > 0 || current === null ? 'refused' : 'ok'
}

interface KeyDocument {
  readonly object: string
  readonly name: string
  readonly dataKey: string | null
  readonly current: boolean
  readonly state: KeyObject['state']['kind']
  readonly because: string | null
  readonly passphrases: number | null
  readonly recipients: readonly string[]
  readonly createdAt: string | null
}

function keyDocument({ object, way, dataKey, state }: KeyObject, current: string | null): KeyDocument {
  const protection = state.kind === 'damaged' ? undefined : state.protection
  return {
    object,
    name: way,
    dataKey: dataKey ?? null,
    current: dataKey !== undefined && dataKey === current,
    state: state.kind,
    because: state.kind === 'damaged' ? state.because.message : null,
    passphrases: protection?.passphrases ?? null,
    recipients: protection?.recipients ?? [],
    createdAt: state.kind === 'opened' ? state.key.createdAt : null,
  }
}

function describeProtection({ passphrases, recipients }: KeyDocument): string {
  if (passphrases === null) return '?'
  const words = [...(passphrases > 0 ? ['passphrase'] : []), ...recipients.map((id) => `key ${id}`)]
  return words.join(', ')
}
