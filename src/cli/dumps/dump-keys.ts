import type { Config } from '../../config/schema.ts'
import { readPublicKeyFile, readSecretFile } from '../../config/secret-file.ts'
import type { KeyAccess, KeyRecipients } from '../../repository/openpgp-keys.ts'
import { chooseRepository } from '../open-configured.ts'

/** For whom dumps are encrypted: who is named on the command line, else whoever opens the repository. */
export async function dumpRecipients(
  config: Config,
  options: {
    readonly repository: string | undefined
    readonly passphraseFile: string | undefined
    readonly recipient: readonly string[] | undefined
  },
): Promise<KeyRecipients> {
  const given = options.passphraseFile !== undefined || options.recipient !== undefined
  const source = given
    ? { passphraseFile: options.passphraseFile, recipientFiles: options.recipient ?? [] }
    : chooseRepository(config, options.repository)
  return {
    passphrase: await optionalSecret('--passphrase-file', source.passphraseFile),
    recipients: await Promise.all(source.recipientFiles.map(readPublicKeyFile)),
  }
}

/** What opens dumps: what is named on the command line, else what opens the repository. */
export async function dumpAccess(
  config: Config,
  options: {
    readonly repository: string | undefined
    readonly passphraseFile: string | undefined
    readonly privateKeyFile: string | undefined
  },
): Promise<KeyAccess> {
  const given = options.passphraseFile !== undefined || options.privateKeyFile !== undefined
  const { passphraseFile, privateKeyFile } = given ? options : chooseRepository(config, options.repository)
  const passphrase = await optionalSecret('--passphrase-file', passphraseFile)
  if (privateKeyFile === undefined) return { passphrase }
  const armored = await readSecretFile('--private-key-file', privateKeyFile)
  return { passphrase, privateKey: { armored, ...(given ? { passphrase } : {}) } }
}

async function optionalSecret(key: string, file: string | undefined): Promise<KeyAccess['passphrase']> {
  return file === undefined ? undefined : await readSecretFile(key, file)
}
