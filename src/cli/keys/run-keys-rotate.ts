import type { Config } from '../../config/schema.ts'
import { readPublicKeyFile } from '../../config/secret-file.ts'
import { giveAccess } from '../../repository/give-access.ts'
import { readKeyObjects } from '../../repository/key-objects.ts'
import type { KeyAccess } from '../../repository/openpgp-keys.ts'
import { rotateDataKey } from '../../repository/rotate-data-key.ts'
import type { DataKeyRotation } from '../../repository/rotate-data-key.ts'
import { Fault } from '../../std/fault.ts'
import type { CommandContext } from '../command.ts'
import { cliFaults } from '../faults.ts'
import { repositoryAccess } from '../open-configured.ts'
import { openKeyPlaces } from './key-places.ts'
import type { KeyPlaces } from './key-places.ts'
import { describeMissed, mirrorKeys } from './mirror-keys.ts'
import { newWay } from './run-keys-add.ts'
import type { NewWayOptions } from './run-keys-add.ts'

export interface RotateOptions extends NewWayOptions {
  readonly repository: string | undefined
  readonly dataKey: boolean
}

/**
 * Wraps the data keys for a new passphrase, or makes a new data key, or both. What opened the repository before still
 * does: the nodes get the new passphrase first, and only then `keys remove` takes the old one away.
 */
export async function runKeysRotate(
  config: Config,
  context: CommandContext,
  options: RotateOptions,
): Promise<'ok' | 'degraded'> {
  const { output, signal, clock } = context
  if (!options.dataKey && options.passphraseFile === undefined) {
    throw new Fault(cliFaults['cli-usage'], 'Cannot rotate: give --passphrase-file, --data-key, or both')
  }
  const wanted =
    options.passphraseFile === undefined ? undefined : await newWay(context, { ...options, recipient: undefined })
  await using places = await openKeyPlaces(config, options.repository, context)
  const { main } = places
  const access = await repositoryAccess(main.config)
  const replaced = wanted === undefined ? [] : await waysOpenedBy(places, access, signal)
  if (wanted !== undefined) await giveAccess(main, { ...wanted, access }, { signal })
  const recipientFiles = [...main.config.recipientFiles, ...(options.recipient ?? [])]
  const rotation = options.dataKey
    ? await rotateDataKey(
        main,
        {
          access,
          passphrases: wanted?.to.passphrase === undefined ? [] : [wanted.to.passphrase],
          recipients: await Promise.all(recipientFiles.map(readPublicKeyFile)),
        },
        { signal, clock },
      )
    : undefined
  const missed = await mirrorKeys(places, signal)
  const added = wanted?.way ?? null
  const superseded = replaced.filter((way) => way !== added)
  if (context.json) {
    const names = missed.map(({ name }) => name)
    output.printJson({ repository: main.name, added, superseded, dataKey: rotation ?? null, missed: names })
  } else {
    const lines = [
      ...describeWay(main.name, added, superseded),
      ...describeDataKey(rotation),
      ...describeMissed(missed),
    ]
    output.print(lines.join('\n'))
  }
  return missed.length === 0 ? 'ok' : 'degraded'
}

/** By the passphrase alone: recipients have keys of their own, which nobody replaces here. */
async function waysOpenedBy(
  { main }: KeyPlaces,
  { passphrase }: KeyAccess,
  signal: AbortSignal,
): Promise<readonly string[]> {
  if (passphrase === undefined) return []
  const objects = await readKeyObjects(main.store, main.id, { passphrase, signal })
  return [...new Set(objects.filter(({ state }) => state.kind === 'opened').map(({ way }) => way))]
}

function describeWay(repository: string, added: string | null, superseded: readonly string[]): readonly string[] {
  if (added === null) return []
  const next =
    superseded.length === 0
      ? []
      : [
          `The passphrase before it still opens it, as ${superseded.join(', ')}. Give every node the new one, run \`holdfast keys test\`, then:`,
          ...superseded.map((way) => `  holdfast keys remove ${way}`),
        ]
  return [`${added} opens repository ${repository}; it was tried on every data key.`, ...next]
}

function describeDataKey(rotation: DataKeyRotation | undefined): readonly string[] {
  if (rotation === undefined) return []
  const how = rotation.resumed ? 'The rotation that was interrupted is complete' : 'There is a new data key'
  return [
    `${how}: ${rotation.dataKey}, in ${rotation.objects.length} key objects. It seals what is stored from now on, by agents once they are restarted.`,
  ]
}
