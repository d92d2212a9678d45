import { z } from 'zod'
import { checkS3Credentials, checkWebDavLogin, s3Settings, webDavSettings } from './remote-store-settings.ts'
import { checkCopies, copySettings } from './copy-settings.ts'
import { absolutePath, duration, kind, list, setting, text, wholeNumber } from './setting.ts'

const repositoryName = setting(
  text(/^[a-z][a-z0-9-]{0,39}$/, 'lower-case letters, digits and hyphens, a letter first'),
  {
    about: 'What commands call this repository.',
    change: 'restart',
    example: 'local',
  },
)

/** What opens a repository and how it is written, wherever it is. */
const repositoryKeys = {
  passphraseFile: setting(absolutePath().optional(), {
    about:
      'A file with the passphrase that opens the repository. A copy without keys of its own uses those of the first.',
    change: 'restart',
    secret: true,
    example: '/etc/holdfast/repository.passphrase',
  }),
  recipientFiles: setting(list(absolutePath()).prefault([]), {
    about: 'OpenPGP public keys (ASCII-armored files) that can open the repository as well; used when it is created.',
    change: 'restart',
    example: "['/etc/holdfast/operator.pub.asc']",
  }),
  privateKeyFile: setting(absolutePath().optional(), {
    about: 'An OpenPGP private key (ASCII-armored file) that opens the repository instead of the passphrase.',
    change: 'restart',
    secret: true,
    example: '/etc/holdfast/node.sec.asc',
  }),
  compressionLevel: setting(wholeNumber(1, 19).prefault(1), {
    about:
      'How hard zstd compresses backups and WAL: PostgreSQL pages get hardly smaller above 1, and take longer. It can be changed at any time.',
    change: 'restart',
  }),
}

const filesystemRepository = z.strictObject({
  name: repositoryName,
  type: setting(kind('filesystem'), {
    about: '`filesystem`: a directory, local or mounted.',
    change: 'restart',
    example: 'filesystem',
  }),
  path: setting(absolutePath(), {
    about: 'The directory of the repository.',
    change: 'restart',
    example: '/srv/backup/holdfast',
  }),
  ...repositoryKeys,
  ...copySettings,
})

const s3Repository = z
  .strictObject({
    name: repositoryName,
    type: setting(kind('s3'), {
      about: '`s3`: a bucket of Amazon S3 or of a server that speaks its protocol (Ceph, MinIO and others).',
      change: 'restart',
      example: 's3',
    }),
    ...s3Settings,
    ...repositoryKeys,
    ...copySettings,
  })
  .superRefine(checkS3Credentials)

const webDavRepository = z
  .strictObject({
    name: repositoryName,
    type: setting(kind('webdav'), {
      about: '`webdav`: a folder of a WebDAV server, such as a Nextcloud.',
      change: 'restart',
      example: 'webdav',
    }),
    ...webDavSettings,
    ...repositoryKeys,
    ...copySettings,
  })
  .superRefine(checkWebDavLogin)

/** One repository, in a configuration or made from an address. */
export const repositorySchema = z.discriminatedUnion('type', [filesystemRepository, s3Repository, webDavRepository])

/** Where backups and WAL go: the first repository. Every other is a copy of it in another place. */
export const repositoriesSection = z
  .array(repositorySchema)
  .max(8)
  .superRefine((repositories, context) => {
    const seen = new Set<string>()
    repositories.forEach((repository, index) => {
      if (seen.has(repository.name)) {
        context.addIssue({ code: 'custom', path: [index, 'name'], message: 'a name no other repository has' })
      }
      seen.add(repository.name)
    })
    checkCopies(repositories, context)
  })
  .prefault([])

export const walSection = z
  .strictObject({
    flush: setting(duration('200ms', '1m').prefault('5s'), {
      about:
        'How old WAL may become before it is in the first repository: the most that losing every node costs. The unfinished segment is written that often while the server is busy, and soon after the last commit when it is not.',
      change: 'restart',
    }),
  })
  .prefault({})
