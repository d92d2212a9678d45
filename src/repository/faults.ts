import { defineFaults } from '../std/fault.ts'

/** What can go wrong with a backup repository, whatever kind of store holds it. */
export const repositoryFaults = defineFaults({
  'repository-not-found': {
    exitClass: 'notFound',
    meaning: 'The store holds no repository: there is no repository.json.',
    hint: 'Check the configured place; `holdfast backup` and the agent make a repository where the place is empty.',
  },
  'repository-exists': {
    exitClass: 'refused',
    meaning: 'A repository was to be created where there is one already.',
    hint: 'Use the existing repository, or choose an empty place for the new one.',
  },
  'repository-place-occupied': {
    exitClass: 'refused',
    meaning: 'The store holds objects but no repository.json: a repository that lost it, or something else.',
    hint: 'If it is a repository, copy repository.json back from another copy of it; otherwise use an empty place. Nothing was written.',
  },
  'repository-format-unsupported': {
    exitClass: 'usage',
    meaning: 'The repository, or an object in it, was written by a newer version with a format this one does not know.',
    hint: 'Use the version of Holdfast that wrote it, or a newer one.',
  },
  'repository-wrong-key': {
    exitClass: 'refused',
    meaning: 'None of the key objects of the repository opens with the given passphrase or private key.',
    hint: 'Check the passphrase file (a line break at its end does not matter); `gpg -d` on keys/*.asc in the repository tries it by hand.',
  },
  'repository-key-missing': {
    exitClass: 'integrity',
    meaning: 'An object was encrypted with a data key that none of the key objects we can open holds.',
    hint: 'Bring back the key object with the named id below keys/, or open the repository with the passphrase or private key that it is for. Where `holdfast keys rotate` was interrupted, run it again.',
  },
  'repository-key-unprotected': {
    exitClass: 'usage',
    meaning: 'A repository was to be created, or opened, with neither a passphrase nor an OpenPGP key.',
    hint: 'Give a passphrase file, or OpenPGP public keys as recipients.',
  },
  'repository-key-name-invalid': {
    exitClass: 'usage',
    meaning: 'A passphrase or recipient was to be added under a name that cannot be used.',
    hint: 'Use up to 40 letters, digits, dot, underscore and hyphen, beginning with a letter or digit; `first` is reserved.',
  },
  'repository-key-name-taken': {
    exitClass: 'refused',
    meaning: 'A passphrase or recipient was to be added under a name that another one has.',
    hint: '`holdfast keys list` shows the names; choose another with --name, or remove the one that has it.',
  },
  'repository-key-not-found': {
    exitClass: 'notFound',
    meaning: 'No passphrase or recipient of the repository has the given name.',
    hint: '`holdfast keys list` shows the names.',
  },
  'repository-key-last': {
    exitClass: 'refused',
    meaning:
      'A passphrase or recipient was to be removed without which the configured secret no longer opens everything.',
    hint: 'Add the new one first (`holdfast keys add`), put it into the configuration, try it with `holdfast keys test`, and then remove the old one.',
  },
  'repository-key-uncovered': {
    exitClass: 'refused',
    meaning:
      'A new data key was to be made that somebody who opens the repository now could not open. Nothing was written.',
    hint: 'Give the public keys of all recipients with --recipient, or remove the named ones first (`holdfast keys remove`).',
  },
  'repository-recipient-missing': {
    exitClass: 'refused',
    meaning:
      'The configuration names a recipient for whom the repository has no key object, so its private key opens nothing.',
    hint: 'Add it with `holdfast keys add --recipient FILE`, or take it out of recipientFiles.',
  },
  'repository-object-missing': {
    exitClass: 'integrity',
    meaning: 'An object that a backup needs is not in the store.',
    hint: 'Copy the named object back from another copy of the repository, or use another backup; `holdfast backups --verify` lists what is affected.',
  },
  'repository-object-damaged': {
    exitClass: 'integrity',
    meaning: 'An object is truncated, altered, or not the one that belongs under its name. Nothing of it was used.',
    hint: 'Copy the named object back from another copy of the repository, or use another backup; `holdfast backups --verify` lists what is affected.',
  },
  'repository-object-conflict': {
    exitClass: 'refused',
    meaning: 'An object was to be written under a name that already holds something else.',
    hint: 'Make sure that only one cluster writes into this repository under this cluster name.',
  },
  'repository-wal-conflict': {
    exitClass: 'refused',
    meaning:
      'WAL was to be stored that differs from what the repository holds for the same place on the same timeline: two servers write the same history.',
    hint: 'Stop the server that is not the primary; a copy or a restored server must use another cluster name or no archive at all.',
  },
  'repository-cluster-mismatch': {
    exitClass: 'refused',
    meaning: 'Another PostgreSQL cluster (another system identifier) already uses this cluster name in the repository.',
    hint: 'Give the new cluster a name of its own in the repository; after initdb or pg_upgrade it is another cluster.',
  },
  'repository-wal-missing': {
    exitClass: 'notFound',
    meaning: 'The repository does not hold the WAL segment, tail or timeline history that was asked for.',
    hint: '`holdfast backups` shows the time ranges that can be restored.',
  },
  'repository-backup-not-found': {
    exitClass: 'notFound',
    meaning: 'There is no committed backup with this name.',
    hint: '`holdfast backups` lists the backups there are.',
  },
  'repository-backup-expiring': {
    exitClass: 'busy',
    meaning: 'A backup that was to be built on or held, or WAL that a new backup needs, is just being removed.',
    hint: 'Look at `holdfast backups` when `holdfast expire` has come to its end, and do it again with a backup that is still listed.',
  },
  'repository-session-collected': {
    exitClass: 'failed',
    meaning: 'A backup took so long that it was taken for dead, and its packs were removed before it was complete.',
    hint: 'Take the backup again. One that takes longer than three days needs a faster repository or more workers.',
  },
  'repository-collection-unsafe': {
    exitClass: 'integrity',
    meaning: 'Nothing can be removed safely, since what a backup needs cannot be read: its commit is damaged.',
    hint: 'Copy the named commit.json back from another copy of the repository, or delete it by hand to give that backup up; nothing was removed.',
  },
  'repository-first-empty': {
    exitClass: 'refused',
    meaning: 'A copy holds backups and the first repository none, so that nothing may expire from the copy.',
    hint: 'Find out what happened to the first repository. If it is lost, make the copy the first one of the configuration.',
  },
  'repository-thread-failed': {
    exitClass: 'failed',
    meaning: 'A thread that encrypts or decrypts WAL ended unexpectedly.',
    hint: 'It is tried again with a new one; report it with the message if it happens again.',
  },
  'repository-name-invalid': {
    exitClass: 'usage',
    meaning: 'The name of a cluster or a backup cannot be used in a repository.',
    hint: 'Use letters, digits, dot, underscore and hyphen, beginning with a letter or digit, at most 63 characters; `keys` is reserved.',
  },
})
