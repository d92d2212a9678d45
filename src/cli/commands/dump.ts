import { UsageError, asText, defineCommand } from '../command.ts'
import { loadContextConfig } from '../context-config.ts'

function parseFormat(text: string): 'custom' | 'plain' {
  if (text === 'custom' || text === 'plain') return text
  throw new UsageError('custom or plain')
}

function parseFiles(text: string, previous: unknown): readonly string[] {
  return [...(Array.isArray(previous) ? (previous as readonly string[]) : []), text]
}

export const dumpCommand = defineCommand({
  name: 'dump',
  summary: 'write databases as portable dumps that gpg and pg_restore read',
  description:
    'Runs pg_dump on every database of this node, or on one, and pg_dumpall for the roles, and encrypts what they write on the way: nothing lies on a disk unencrypted. Each dump is an ordinary OpenPGP file (`.dump.gpg` for pg_restore, `.sql.gpg` for psql) with a `.sha256` and a `.json` beside it, which gpg 2.2 and later opens. It appears under its name only when it is complete and synced. Without `--to` it goes into the repository. A dump holds one database as it was when pg_dump began; recovery to any moment is what backups are for.',
  options: {
    database: { flag: '--database <name>', about: 'one database (default: all)', parse: asText },
    format: {
      flag: '--format <format>',
      about: 'custom (for pg_restore, the default) or plain (SQL for psql)',
      parse: parseFormat,
    },
    to: { flag: '--to <directory>', about: 'a directory for the files, instead of the repository', parse: asText },
    repository: {
      flag: '--repository <name>',
      about: 'the repository to use, and whose passphrase and recipients are the default (default: the first one)',
      parse: asText,
    },
    passphraseFile: {
      flag: '--passphrase-file <file>',
      about: "encrypt for this passphrase, instead of the repository's",
      parse: asText,
    },
    recipient: {
      flag: '--recipient <file>',
      about: 'encrypt for this OpenPGP public key (an ASCII-armored file) instead; may be given several times',
      parse: parseFiles,
    },
  },
  examples: [
    { command: 'holdfast dump', about: 'every database and the roles, into the first repository' },
    { command: 'holdfast dump --database app --to /srv/dumps', about: 'one database and the roles, as files' },
    {
      command: 'holdfast dump --format plain --to /srv/dumps --recipient /etc/holdfast/operator.pub.asc',
      about: 'as SQL, which only the owner of that key can open',
    },
  ],
  exits: {
    ok: 'every dump is complete',
    failed: 'at least one could not be made and is named; nothing that looks like it was left; the others are complete',
    notFound: 'pg_dump is missing, or there is no repository',
    refused: 'the key does not open the repository',
    unreachable: 'the server or the repository does not answer',
    integrity: 'the repository is damaged',
  },
  run: async (context, options) => {
    const { runDump } = await import('../dumps/run-dump.ts')
    const { config } = await loadContextConfig(context)
    return await runDump(config, context, options)
  },
})
