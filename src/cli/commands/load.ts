import { asText, defineCommand } from '../command.ts'
import { loadContextConfig } from '../context-config.ts'

export const loadCommand = defineCommand({
  name: 'load',
  summary: 'load a portable dump into a database, or prove that it loads',
  description:
    'Loads a dump of `holdfast dump`, or one of `pg_dump | gpg` (custom or plain, with or without gzip in between): the format is found from the content. The dump is first read to its end, its `.sha256` (if there is one), key and integrity checked, and only then loaded, into a database that is made for it or empty: never over anything. When that fails, the database is as it was before. Without `--into` it is loaded into a scratch database, which is dropped again: proof that the dump can be loaded. A dump of roles (`globals-….sql.gpg`) creates the roles that are missing and leaves those that are there.',
  arguments: [
    { syntax: '<dump>', about: 'a file, or with `--repository` the name of a dump that `holdfast dumps` lists' },
  ],
  options: {
    into: { flag: '--into <database>', about: 'the database to load into, which must be empty', parse: asText },
    create: { flag: '--create', about: 'make the database of `--into`, which must not exist' },
    globals: { flag: '--globals <dump>', about: 'first create the missing roles from this dump', parse: asText },
    repository: { flag: '--repository <name>', about: 'the dumps are in this repository', parse: asText },
    passphraseFile: {
      flag: '--passphrase-file <file>',
      about: "the passphrase of the dump, or of the private key (default: the repository's)",
      parse: asText,
    },
    privateKeyFile: {
      flag: '--private-key-file <file>',
      about: 'the OpenPGP private key that opens the dump (an ASCII-armored file)',
      parse: asText,
    },
  },
  examples: [
    { command: 'holdfast load /srv/dumps/app-20261122T141702Z-602410cd.dump.gpg', about: 'prove that it loads' },
    {
      command: 'holdfast load old-app.sql.gpg --into app --create --passphrase-file /etc/old/backup.passphrase',
      about: 'bring a database over from the scripts before Holdfast',
    },
  ],
  exits: {
    ok: 'loaded (or proven to load)',
    degraded: 'loaded, but the number of tables is not the one that was recorded with the dump',
    failed: 'not loaded; the database is as before',
    notFound: 'there is no such dump or database, or pg_restore or psql is missing',
    refused: 'the database is not empty, or the passphrase or key does not open the dump',
    unreachable: 'the server or the repository does not answer',
    integrity: 'the dump is damaged; nothing of it was loaded',
  },
  run: async (context, options, [dump = '']) => {
    const { runLoad } = await import('../dumps/run-load.ts')
    const { config } = await loadContextConfig(context)
    return await runLoad(config, context, { ...options, dump })
  },
})
