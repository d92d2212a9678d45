import { randomBytes } from 'node:crypto'
import type { Config } from '../../config/schema.ts'
import { readPublicKeyFile } from '../../config/secret-file.ts'
import { giveAccess } from '../../repository/give-access.ts'
import { recipientKeyIds } from '../../repository/openpgp-keys.ts'
import type { KeyRecipients } from '../../repository/openpgp-keys.ts'
import { Fault } from '../../std/fault.ts'
import type { CommandContext } from '../command.ts'
import { cliFaults } from '../faults.ts'
import { readGivenSecret } from '../given-secret.ts'
import { repositoryAccess } from '../open-configured.ts'
import { openKeyPlaces } from './key-places.ts'
import { describeMissed, mirrorKeys } from './mirror-keys.ts'

export interface NewWayOptions {
  readonly passphraseFile: string | undefined
  readonly recipient: readonly string[] | undefined
  readonly name: string | undefined
}

/** Adds a passphrase or recipients to a repository and its copies. */
export async function runKeysAdd(
  config: Config,
  context: CommandContext,
  options: NewWayOptions & { readonly repository: string | undefined },
): Promise<'ok' | 'degraded'> {
  const { output, signal } = context
  const { to, way } = await newWay(context, options)
  await using places = await openKeyPlaces(config, options.repository, context)
  const access = await repositoryAccess(places.main.config)
  const given = await giveAccess(places.main, { way, access, to }, { signal })
  const missed = await mirrorKeys(places, signal)
  if (context.json) {
    output.printJson({ repository: places.main.name, name: way, ...given, missed: missed.map(({ name }) => name) })
  } else {
    output.print([describe(places.main.name, way, to), ...describeMissed(missed)].join('\n'))
  }
  return missed.length === 0 ? 'ok' : 'degraded'
}

/** What is to be added, read before anything is opened. Throws `cli-usage` unless it is one passphrase or recipients. */
export async function newWay(
  context: CommandContext,
  options: NewWayOptions,
): Promise<{ readonly way: string; readonly to: KeyRecipients }> {
  const { passphraseFile, recipient = [] } = options
  if ((passphraseFile === undefined) === (recipient.length === 0)) {
    throw new Fault(cliFaults['cli-usage'], 'Cannot add a key: give either --passphrase-file or --recipient', {
      hint: 'Each of them gets a name of its own, so that one can be removed without the other.',
    })
  }
  if (passphraseFile !== undefined) {
    const passphrase = await readGivenSecret(context, '--passphrase-file', passphraseFile)
    return { way: options.name ?? `passphrase-${randomBytes(4).toString('hex')}`, to: { passphrase } }
  }
  const recipients = await Promise.all(recipient.map(readPublicKeyFile))
  const [first = []] = await Promise.all(recipients.map(recipientKeyIds))
  return { way: options.name ?? `recipient-${first[0]}`, to: { recipients } }
}

function describe(repository: string, way: string, to: KeyRecipients): string {
  const tried =
    to.passphrase === undefined
      ? 'Try it with the private key, which is not here: gpg -d on the objects below keys/.'
      : 'It was tried: the passphrase opens every data key.'
  return `${way} opens repository ${repository}. ${tried}`
}
