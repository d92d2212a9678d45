import { defineFaults } from '../std/fault.ts'

/** What can go wrong where objects live. A full disk is `disk-full` of `src/std/faults.ts`. */
export const storeFaults = defineFaults({
  'store-object-missing': {
    exitClass: 'notFound',
    meaning: 'An object that had to be read is not in the store.',
    hint: 'Look whether the store is the right one and whether somebody deleted the object; another copy of the repository may still have it.',
  },
  'store-key-invalid': {
    exitClass: 'usage',
    meaning: 'A name contains characters that not every kind of store can hold.',
    hint: 'Use letters, digits, dot, underscore and hyphen; no part may begin with a dot.',
  },
  'store-root-missing': {
    exitClass: 'notFound',
    meaning: 'The directory of a file system store does not exist, or is no directory.',
    hint: 'If it is a mount, mount it; otherwise create the directory or correct the configured path.',
  },
  'store-access-denied': {
    exitClass: 'failed',
    meaning: 'The operating system does not let this user read or write in the store.',
    hint: 'Give the user that runs Holdfast ownership of the directory, and check that the file system is not mounted read-only.',
  },
  'store-links-unsupported': {
    exitClass: 'usage',
    meaning: 'The file system has no hard links, without which an object cannot be created whole and only once.',
    hint: 'Use a file system with hard links (ext4, XFS, Btrfs, ZFS, NFS), or another kind of store.',
  },
  'store-failed': {
    exitClass: 'failed',
    meaning: 'The file system under a store reported an unexpected error.',
    hint: 'Look at the kernel log of the machine for trouble with the disk or the mount.',
  },
})
