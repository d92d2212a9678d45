import { defineFaults } from '../../std/fault.ts'

/** What keeps a verification from being done. What it finds is a result, not a fault. */
export const verifyFaults = defineFaults({
  'verify-no-backup': {
    exitClass: 'notFound',
    meaning: 'There is no backup to verify, or none with the given name.',
    hint: '`holdfast backups` lists the backups there are; `holdfast backup` takes one.',
  },
  'verify-backup-expired': {
    exitClass: 'busy',
    meaning: 'A backup was expired, or deleted, while it was being verified, so that nothing can be said of it.',
    hint: 'Verify one that is still listed: `holdfast backups`.',
  },
  'verify-directory-unusable': {
    exitClass: 'usage',
    meaning: 'The directory in which a backup is to be restored for its verification cannot be used.',
    hint: 'Set verification.directory to a directory that the user Holdfast runs as may make and write, or give --directory.',
  },
})
