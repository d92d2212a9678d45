import { asText, type OptionTable } from '../command.ts'

/** Options of commands that also work with nothing but a repository's address and its key. */
export const storeOptions = {
  store: {
    flag: '--store <address>',
    about: 'a repository by its address instead of its name: /path, s3://…, webdavs://…; needs no configuration',
    parse: asText,
  },
  passphraseFile: { flag: '--passphrase-file <file>', about: 'with --store: what opens the repository', parse: asText },
  privateKeyFile: {
    flag: '--private-key-file <file>',
    about: 'with --store: the OpenPGP private key that opens it instead',
    parse: asText,
  },
  cluster: {
    flag: '--cluster <name>',
    about: 'with --store: the cluster (default: that of the configuration, else the only one there)',
    parse: asText,
  },
} as const satisfies OptionTable

export interface StoreOptionValues {
  readonly store: string | undefined
  readonly passphraseFile: string | undefined
  readonly privateKeyFile: string | undefined
  readonly cluster: string | undefined
}
