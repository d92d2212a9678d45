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
    meaning: 'The place of a store does not exist: a directory, a bucket or a WebDAV folder.',
    hint: 'If it is a mount, mount it; otherwise create it, or correct the configured path, bucket or address.',
  },
  'store-access-denied': {
    exitClass: 'failed',
    meaning: 'The operating system or the server does not let this user do what was asked in the store.',
    hint: 'Directory: give it to the user that runs Holdfast, and check that it is not mounted read-only. S3, WebDAV: give the key or user the right to list, read and create (and to delete, for expiry).',
  },
  'store-links-unsupported': {
    exitClass: 'usage',
    meaning: 'The file system has no hard links, without which an object cannot be created whole and only once.',
    hint: 'Use a file system with hard links (ext4, XFS, Btrfs, ZFS, NFS), or another kind of store.',
  },
  'store-failed': {
    exitClass: 'failed',
    meaning: 'The file system or the server of a store reported an unexpected error.',
    hint: 'Look at the kernel log of the machine for trouble with the disk or the mount, or at the log of the server.',
  },
  'store-unreachable': {
    exitClass: 'unreachable',
    meaning:
      'The server of a store does not answer, answers with an error of its own, or breaks the connection again and again.',
    hint: 'Check network, name resolution and the configured address; `holdfast store probe` tries it out.',
  },
  'store-overloaded': {
    exitClass: 'busy',
    meaning:
      'The server of a store asks to be left alone (503, 429, a locked file), and kept to it for longer than we wait.',
    hint: 'Run the command again later; lower the load on the store or ask its operator for a higher limit.',
  },
  'store-credentials-absent': {
    exitClass: 'usage',
    meaning: 'No credentials for a store were found where the configuration or the environment says they are.',
    hint: 'Name the files in the configuration (accessKeyIdFile and secretAccessKeyFile, or credentialsFile), or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.',
  },
  'store-credentials-refused': {
    exitClass: 'refused',
    meaning: 'The server of a store does not accept the credentials: wrong, expired or revoked.',
    hint: 'Put valid ones into the files that the configuration names; they are read again without a restart.',
  },
  'store-certificate-untrusted': {
    exitClass: 'refused',
    meaning:
      'The certificate of the server of a store is not signed by an authority that is trusted here, has expired, or is for another name.',
    hint: 'If the server has an authority of its own, name its certificate with caFile; otherwise somebody may be standing in between.',
  },
  'store-protocol-unexpected': {
    exitClass: 'usage',
    meaning: 'What answers at the address of a store does not answer as such a store does.',
    hint: 'Check the address (scheme, port, path), the region and pathStyle; `holdfast store probe` tries it out.',
  },
  'store-clock-skewed': {
    exitClass: 'failed',
    meaning: 'The store refuses requests because the clocks of this machine and of the store differ too much.',
    hint: 'Set the clock of this machine right (NTP): `timedatectl` shows it.',
  },
  'store-lock-unsupported': {
    exitClass: 'usage',
    meaning: 'The configuration asks for object lock, which the bucket does not have.',
    hint: 'Object lock has to be switched on when a bucket is created: make a new bucket with it, or take `lock` out of the configuration.',
  },
  'store-unconditional': {
    exitClass: 'refused',
    meaning:
      'The server of a store does not obey or does not know "create only if absent", so that two writers could overwrite one another.',
    hint: 'Use another store for the first repository; as a copy this one is safe. `holdfast store probe` shows what it can do; where only one process ever writes, set conditionalCreate: emulated.',
  },
})
