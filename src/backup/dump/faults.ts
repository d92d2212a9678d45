import { defineFaults } from '../../std/fault.ts'

/** What can go wrong with portable dumps. A full disk is `disk-full` of `src/std/faults.ts`. */
export const dumpFaults = defineFaults({
  'dump-tools-missing': {
    exitClass: 'notFound',
    meaning: 'This machine has no pg_dump, pg_restore or psql that is new enough for the server.',
    hint: 'Install the client programs of the major release of the server or a newer one (Debian: `apt install postgresql-client`); embedded PostgreSQL has none.',
  },
  'dump-no-key': {
    exitClass: 'usage',
    meaning: 'A dump was asked for, or is to be opened, with neither a passphrase nor an OpenPGP key.',
    hint: 'Give `--passphrase-file FILE`, or configure a repository: its passphrase and recipients are the default.',
  },
  'dump-failed': {
    exitClass: 'failed',
    meaning: 'A dump could not be made because pg_dump or pg_dumpall ended with an error.',
    hint: 'What it said last is in the message; nothing that looks like a dump was left.',
  },
  'dump-exists': {
    exitClass: 'refused',
    meaning: 'A file or object of the name of the new dump exists already.',
    hint: 'Run the command again: every run has names of its own.',
  },
  'dump-place-unusable': {
    exitClass: 'usage',
    meaning: 'The directory for dumps does not exist or cannot be written.',
    hint: 'Create the directory and give it to the user that runs Holdfast.',
  },
  'dump-not-found': {
    exitClass: 'notFound',
    meaning: 'There is no dump of this name.',
    hint: 'Check the path, or give `--repository NAME` for a dump in a repository; `holdfast dumps` lists those.',
  },
  'dump-damaged': {
    exitClass: 'integrity',
    meaning: 'A dump is truncated or altered. Nothing of it was loaded.',
    hint: 'Use another copy or an older dump; compare with `sha256sum -c` on the machine that it came from.',
  },
  'dump-wrong-key': {
    exitClass: 'refused',
    meaning: 'The passphrase or private key does not open the dump.',
    hint: 'Give the right one with `--passphrase-file FILE` or `--private-key-file FILE`; `gpg -d FILE` tries it by hand.',
  },
  'dump-format-unsupported': {
    exitClass: 'usage',
    meaning: 'A file is no OpenPGP message, uses a feature of OpenPGP that Holdfast does not read, or holds no dump.',
    hint: 'Decrypt it with `gpg -d` and give it to pg_restore or psql by hand.',
  },
  'dump-switches-database': {
    exitClass: 'refused',
    meaning: 'A plain dump connects to other databases (pg_dumpall, or pg_dump -C), which loading it would change.',
    hint: 'Load it by hand into a server made for it: `gpg -d FILE | psql`.',
  },
  'dump-target-occupied': {
    exitClass: 'refused',
    meaning: 'The database to load into is not empty, or exists and was to be created.',
    hint: 'Load into a new database with `--create`; drop or rename the old one yourself.',
  },
  'dump-target-missing': {
    exitClass: 'notFound',
    meaning: 'The database to load into does not exist.',
    hint: 'Add `--create`.',
  },
  'dump-load-failed': {
    exitClass: 'failed',
    meaning: 'A dump could not be loaded: pg_restore or psql ended with an error. The database is as it was before.',
    hint: 'What it said last is in the message. Roles that are missing come with `--globals FILE`.',
  },
})
