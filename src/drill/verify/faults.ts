import { defineFaults } from '../../std/fault.ts'

/** What keeps a verification from being done. What it finds is a result, not a fault. */
export const verifyFaults = defineFaults({
  'verify-no-backup': {
    exitClass: 'notFound',
    meaning: 'There is no backup to verify, or none with the given name.',
    hint: '`holdfast backups` lists the backups there are; `holdfast backup` takes one.',
  },
})
