import { z } from 'zod'
import { checkS3Credentials, checkWebDavLogin, s3Settings, webDavSettings } from './remote-store-settings.ts'
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
    about: 'A file with the passphrase that opens the repository.',
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

function requireKey(
  repository: { readonly passphraseFile?: string | undefined; readonly privateKeyFile?: string | undefined },
  context: z.core.$RefinementCtx,
): void {
  if (repository.passphraseFile !== undefined || repository.privateKeyFile !== undefined) return
  context.addIssue({
    code: 'custom',
    path: [],
    message: 'passphraseFile or privateKeyFile: without one of them nothing opens the repository',
  })
}

const filesystemRepository = z
  .strictObject({
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
  })
  .superRefine(requireKey)

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
  })
  .superRefine((repository, context) => {
    requireKey(repository, context)
    checkS3Credentials(repository, context)
  })

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
  })
  .superRefine((repository, context) => {
    requireKey(repository, context)
    checkWebDavLogin(repository, context)
  })

/** Where backups and WAL go; the first repository is the one commands use when none is named. */
export const repositoriesSection = z
  .array(z.discriminatedUnion('type', [filesystemRepository, s3Repository, webDavRepository]))
  .max(8)
  .superRefine((repositories, context) => {
    const seen = new Set<string>()
    repositories.forEach((repository, index) => {
      if (seen.has(repository.name)) {
        context.addIssue({ code: 'custom', path: [index, 'name'], message: 'a name no other repository has' })
      }
      seen.add(repository.name)
    })
  })
  .prefault([])

export const walSection = z
  .strictObject({
    flush: setting(duration('200ms', '1m').prefault('5s'), {
      about:
        'How old WAL may become before it is in the repository: the most that losing every node costs. The unfinished segment is written that often while the server is busy, and soon after the last commit when it is not.',
      change: 'restart',
    }),
  })
  .prefault({})

const keepAmount = (about: string, most: number): z.ZodPrefault<z.ZodNumber> =>
  setting(wholeNumber(0, most).prefault(0), { about, change: 'reload' })

const dumpAmount = (about: string, most: number): z.ZodOptional<z.ZodNumber> =>
  setting(wholeNumber(0, most).optional(), { about, change: 'reload' })

/** Rules for dumps that are not those for backups. */
const dumpRetention = z
  .strictObject({
    days: dumpAmount(
      'Dumps of the last so many days stay; without it as many as of backups, and so for each of these.',
      36_500,
    ),
    count: dumpAmount('So many of the newest dumps of each database stay however old they are.', 10_000),
    daily: dumpAmount('The newest dump of each database of each of so many days (UTC) stays.', 3660),
    weekly: dumpAmount('The same for weeks, which begin on Monday.', 520),
    monthly: dumpAmount('The same for months.', 1200),
    yearly: dumpAmount('The same for years.', 100),
  })
  .prefault({})

/** What `holdfast expire` keeps: a backup goes when no rule keeps it. */
export const retentionSection = z
  .strictObject({
    days: setting(wholeNumber(0, 36_500, 'days').prefault(30), {
      about:
        'Every moment of the last so many days stays restorable: all backups in them, one before, and all WAL since.',
      change: 'reload',
    }),
    count: setting(wholeNumber(0, 10_000).prefault(2), {
      about: 'So many of the newest backups stay however old they are, with all WAL since.',
      change: 'reload',
    }),
    daily: keepAmount(
      'The newest backup of each of so many days (UTC) stays as it is, without the WAL after it.',
      3660,
    ),
    weekly: keepAmount('The same for weeks, which begin on Monday.', 520),
    monthly: keepAmount('The same for months.', 1200),
    yearly: keepAmount('The same for years.', 100),
    dumps: dumpRetention,
  })
  .prefault({})
