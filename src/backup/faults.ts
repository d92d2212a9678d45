import { defineFaults } from '../std/fault.ts'

export const backupFaults = defineFaults({
  'backup-wrong-directory': {
    exitClass: 'refused',
    meaning: 'The data directory to copy is not the one that the server to back up runs on.',
    hint: 'Run the backup on the machine of the server, with the data directory that `SHOW data_directory` names.',
  },
  'backup-server-unfit': {
    exitClass: 'refused',
    meaning:
      'The server cannot be backed up as it is: its wal_level is minimal, it is a standby of a primary with full_page_writes off, or it was built in an unusual way.',
    hint: 'Set wal_level to replica or logical, and full_page_writes on the primary to on.',
  },
  'backup-already-running': {
    exitClass: 'busy',
    meaning: 'Another Holdfast backup of this server is running.',
    hint: 'Wait until it is done, or end that one, then take the backup again.',
  },
  'backup-server-changed': {
    exitClass: 'failed',
    meaning:
      'The server stopped, was promoted, failed over or was restarted while it was backed up, so that the copy is of no use.',
    hint: 'Nothing was listed and nothing is lost; take the backup again: it uses what is stored already.',
  },
  'backup-file-unreadable': {
    exitClass: 'failed',
    meaning: 'A file of the data directory could not be read.',
    hint: 'Check permissions and the disk (`dmesg`); an input/output error means that the medium is failing.',
  },
  'backup-file-missing': {
    exitClass: 'integrity',
    meaning: 'A file that must exist in every running data directory is not there.',
    hint: 'The data directory is damaged; keep the last good backup and look at the server at once.',
  },
  'backup-wal-missing': {
    exitClass: 'failed',
    meaning: 'The WAL that the backup needs did not arrive in the repository, so that it could not be listed.',
    hint: 'Check that an archiver is running for this cluster (`holdfast status`), then take the backup again.',
  },
  'backup-worker-failed': {
    exitClass: 'bug',
    meaning: 'A worker thread of the backup ended unexpectedly.',
    hint: 'Take the backup again with fewer workers if memory is short; else report the message.',
  },
})
