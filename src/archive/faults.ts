import { defineFaults } from '../std/fault.ts'

/** What can go wrong while WAL is brought into the repository. */
export const archiveFaults = defineFaults({
  'archive-diverged': {
    exitClass: 'refused',
    meaning:
      'The server has other WAL than the repository for the same place on the same timeline: two servers wrote the same history.',
    hint: 'Find out which server is the primary and stop the other; then take a new backup.',
  },
  'archive-server-behind': {
    exitClass: 'busy',
    meaning: 'The repository holds WAL that the server does not have (yet) on this timeline.',
    hint: 'A standby will catch up. A primary that stays behind has lost WAL: compare it with the other nodes.',
  },
  'archive-history-unusable': {
    exitClass: 'integrity',
    meaning: 'A timeline history file of the server cannot be read.',
    hint: 'Compare the named history file in pg_wal with that of the other nodes.',
  },
  'archive-donor-silent': {
    exitClass: 'busy',
    meaning: 'The server has lost WAL that the repository lacks, and a member that may still have it does not answer.',
    hint: 'Bring the named member back: it is asked again for a while, then the WAL is recorded as lost.',
  },
  'archive-file-unknown': {
    exitClass: 'usage',
    meaning: 'A file to be archived has a name that PostgreSQL gives to no WAL, or not with this segment size.',
    hint: 'Give what archive_command gives: `holdfast wal push %p`.',
  },
  'archive-file-invalid': {
    exitClass: 'integrity',
    meaning: 'A file to be archived is not what its name says: too short, of another cluster, or of another place.',
    hint: 'Look at the named file in pg_wal; nothing was stored under its name.',
  },
  'archive-nothing-stored': {
    exitClass: 'notFound',
    meaning: 'WAL was asked for of a cluster of which the repository has nothing at all.',
    hint: 'Check the name of the cluster and the repository in the configuration.',
  },
  'archive-wal-gap': {
    exitClass: 'integrity',
    meaning:
      'WAL that was asked for is missing, and the repository has later WAL of the timeline or a record of the loss.',
    hint: '`holdfast wal status` shows the gaps; restore to a moment before it, or from a backup behind it.',
  },
})
