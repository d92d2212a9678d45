import { defineFaults } from '../std/fault.ts'

/** What can go wrong when a backup is restored and its WAL replayed. */
export const restoreFaults = defineFaults({
  'restore-no-backup': {
    exitClass: 'notFound',
    meaning: 'There is no backup to restore from, or none with the given name.',
    hint: '`holdfast backups` lists the backups there are.',
  },
  'restore-target-too-early': {
    exitClass: 'usage',
    meaning: 'The target lies before the end of every backup that could lead there.',
    hint: 'Choose a later target; `holdfast backups` shows the time ranges that can be restored.',
  },
  'restore-target-too-late': {
    exitClass: 'usage',
    meaning: 'The target lies after the last WAL in the repository.',
    hint: 'Choose an earlier target, or --latest; `holdfast status` shows whether the archive is behind.',
  },
  'restore-timeline-unknown': {
    exitClass: 'usage',
    meaning: 'The wanted timeline does not exist in the repository, or its history file is missing.',
    hint: 'Leave the timeline out to take the newest; `holdfast backups` lists the timelines.',
  },
  'restore-wal-gap': {
    exitClass: 'integrity',
    meaning: 'WAL between the backup and the target is missing in the repository.',
    hint: 'Choose a target before the named gap, or a backup after it; look for the missing range in pg_wal of another node.',
  },
  'restore-target-not-reached': {
    exitClass: 'failed',
    meaning: 'Recovery used all planned WAL and did not meet the target; the database was not opened.',
    hint: 'Choose an earlier target, an older backup, or another timeline.',
  },
  'restore-directory-not-empty': {
    exitClass: 'refused',
    meaning: 'A directory that a restore should fill already holds something.',
    hint: 'Give an empty directory, or --delta to make a data directory of the same cluster into the backup.',
  },
  'restore-directory-in-use': {
    exitClass: 'busy',
    meaning: 'Another restore into the same directory is running.',
    hint: 'Wait for its end, or end it.',
  },
  'restore-directory-not-owned': {
    exitClass: 'refused',
    meaning: 'A directory that a restore should fill belongs to another user; PostgreSQL would not start on it.',
    hint: 'Run the restore as the user that runs PostgreSQL, and give that user the directory.',
  },
  'restore-read-failed': {
    exitClass: 'failed',
    meaning: 'A file that is there already could not be read to compare it with the backup.',
    hint: 'Look at the named file and its file system; restore into an empty directory where the disk is failing.',
  },
  'restore-tablespace-unmapped': {
    exitClass: 'usage',
    meaning:
      'The backup has a tablespace for which no directory was given; the original place is never used unasked. Or a directory was given for one that it does not have.',
    hint: 'Give a directory for each tablespace, --tablespace OLD=NEW, or one for all: --tablespaces-into DIRECTORY.',
  },
  'restore-write-failed': {
    exitClass: 'failed',
    meaning: 'A file of the restored data directory could not be written.',
    hint: 'Look at the named directory and its file system, then run the same command again.',
  },
  'restore-worker-failed': {
    exitClass: 'bug',
    meaning: 'A thread of the restore ended unexpectedly.',
    hint: 'Run the same command again; report it with the message if it happens twice.',
  },
  'restore-incomplete': {
    exitClass: 'refused',
    meaning: 'A directory holds a restore that did not come to its end.',
    hint: 'Run the same restore again, it goes on with what is missing; or remove the directory.',
  },
  'restore-wal-unreadable': {
    exitClass: 'integrity',
    meaning: 'The planned WAL holds no record at its end, so that recovery could not be told where to stop.',
    hint: 'Restore to an explicit target before the named position.',
  },
  'restore-subject-missing': {
    exitClass: 'notFound',
    meaning: 'The database or table that was to be brought back did not exist at the target.',
    hint: 'Choose another target; names are written as they are, upper case included.',
  },
  'restore-name-taken': {
    exitClass: 'refused',
    meaning: 'What is brought back would go over something that is there.',
    hint: 'Choose another name with --as.',
  },
  'restore-load-failed': {
    exitClass: 'failed',
    meaning:
      'What was brought back could not be loaded into the running server, or written to a file. Nothing is left of it.',
    hint: 'The message has the last words of the program; --output FILE gives a file for pg_restore instead.',
  },
  'restore-tablespace-in-wal': {
    exitClass: 'failed',
    meaning:
      'The WAL creates a tablespace at the path of the original, in a record that cannot be changed so that the copy keeps it to itself.',
    hint: 'Restore from a backup that was taken after the tablespace was created, or to a target before that.',
  },
  'restore-recovery-failed': {
    exitClass: 'failed',
    meaning: 'PostgreSQL stopped during recovery; the database was not opened.',
    hint: 'The last lines of its log are in the message; remove the cause, then restore again.',
  },
  'restore-parameters-too-small': {
    exitClass: 'failed',
    meaning: 'Recovery cannot go on because a parameter is smaller than it was on the primary.',
    hint: 'Restore with the action `promote`, or raise the named parameter.',
  },
})
