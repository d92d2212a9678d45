import { asText, defineCommand } from '../command.ts'
import { storeOptions } from '../stores/store-options.ts'

export const backupsCommand = defineCommand({
  name: 'backups',
  summary: 'list the backups and the time range that can be restored',
  description:
    'Lists every backup of this cluster with its times, sizes and origin, and up to where the archived WAL reaches. Backups whose commit cannot be read are named. With `--verify` every stored object is read, and its hash and encryption checked.',
  options: {
    repository: { flag: '--repository <name>', about: 'the repository to read (default: all of them)', parse: asText },
    verify: { flag: '--verify', about: 'read and check every object of every backup' },
    ...storeOptions,
  },
  examples: [
    { command: 'holdfast backups', about: 'what can be restored' },
    { command: 'holdfast backups --verify', about: 'prove that nothing is missing or altered' },
    {
      command: 'holdfast backups --store s3://acme-backups/main --passphrase-file ./passphrase',
      about: 'what a new machine could restore, without a configuration',
    },
  ],
  exits: {
    ok: 'listed, and all backups are fine as far as was looked',
    notFound: 'there is no repository, or it holds no backup',
    refused: 'the key does not open the repository',
    integrity: 'a backup or the WAL it needs is damaged or missing',
    unreachable: 'a repository does not answer',
  },
  run: async (context, options) => {
    const { runBackups } = await import('../backups/run-backups.ts')
    const { commandConfig } = await import('../stores/command-config.ts')
    const config = await commandConfig(context, options)
    return await runBackups(config, context, options)
  },
})
