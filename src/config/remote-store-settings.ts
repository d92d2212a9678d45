import { z } from 'zod'
import { absolutePath, choice, onOff, setting, text, wholeNumber } from './setting.ts'

/** The settings of stores that are reached over a network, besides those that every repository has. */
export const s3Settings = {
  bucket: setting(text(/^[A-Za-z0-9][A-Za-z0-9._-]{1,254}$/, 'the name of a bucket'), {
    about: 'The bucket; it must exist.',
    change: 'restart',
    example: 'acme-backups',
  }),
  prefix: setting(
    text(
      /^[A-Za-z0-9_-][A-Za-z0-9._-]*(\/[A-Za-z0-9_-][A-Za-z0-9._-]*)*$/,
      'parts of a path, without a slash at its ends',
    ).optional(),
    {
      about: 'Where in the bucket the repository is, as a path.',
      change: 'restart',
      example: 'holdfast/main',
    },
  ),
  region: setting(text(/^[A-Za-z0-9-]{1,64}$/, 'the name of a region').optional(), {
    about: 'The region of the bucket; without it that of the AWS tools, or `us-east-1` where there is an endpoint.',
    change: 'restart',
    example: 'eu-central-1',
  }),
  endpoint: setting(httpAddress().optional(), {
    about: "The address of an S3 server other than Amazon's.",
    change: 'restart',
    example: 'https://s3.example.org',
  }),
  pathStyle: setting(onOff().optional(), {
    about: 'Whether the bucket stands in the path instead of the host name; by default where there is an endpoint.',
    change: 'restart',
  }),
  caFile: setting(absolutePath().optional(), {
    about: "Certificates (PEM) of the authorities to trust for this server, instead of the system's.",
    change: 'restart',
    example: '/etc/holdfast/s3-ca.pem',
  }),
  accessKeyIdFile: setting(absolutePath().optional(), {
    about:
      'A file with the access key id. Without files the AWS chain is used: environment, shared files, instance role.',
    change: 'restart',
    secret: true,
    example: '/etc/holdfast/s3.key-id',
  }),
  secretAccessKeyFile: setting(absolutePath().optional(), {
    about: 'A file with the secret access key.',
    change: 'restart',
    secret: true,
    example: '/etc/holdfast/s3.key',
  }),
  credentialsFile: setting(absolutePath().optional(), {
    about:
      'Instead of the two: a file as the AWS tools write it, also with a session token. It is read again when refused.',
    change: 'restart',
    secret: true,
    example: '/etc/holdfast/s3.credentials',
  }),
  profile: setting(text(/^[^\]\s]{1,100}$/, 'the name of a profile').prefault('default'), {
    about: 'The profile in `credentialsFile`.',
    change: 'restart',
  }),
  lock: z
    .strictObject({
      mode: setting(choice(['governance', 'compliance']), {
        about:
          '`governance`: who has a special permission can lift it; `compliance`: nobody can. The bucket must have object lock.',
        change: 'restart',
        example: 'governance',
      }),
      days: setting(wholeNumber(1, 36_500, 'days'), {
        about: 'For so long nobody can remove or replace an object after it was written.',
        change: 'restart',
        example: '30',
      }),
    })
    .optional(),
  asOf: setting(
    text(/^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d)?(\.\d+)?Z$/, 'a moment in UTC like 2026-11-22T13:00:00Z').optional(),
    {
      about:
        'Reads a bucket with versions as it was at this moment, also what was deleted or replaced since; nothing is written.',
      change: 'restart',
    },
  ),
  conditionalCreate: setting(choice(['required', 'emulated']).optional(), {
    about:
      'What happens where the server cannot create only if absent. `required`: it is refused, the default for the first repository. `emulated`: we look first, the default for copies; with several writers an object can be overwritten.',
    change: 'restart',
  }),
}

export const webDavSettings = {
  url: setting(
    text(
      /^https?:\/\/(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9.-]+)(:\d{1,5})?(\/[^\s?#]*)?$/,
      'an address like https://host/path',
    ),
    {
      about: 'The folder; it must exist. Nextcloud shows its address under "WebDAV" in the settings of Files.',
      change: 'restart',
      example: 'https://cloud.example.org/remote.php/dav/files/backup/holdfast',
    },
  ),
  user: setting(text(/^[^\s:]{1,200}$/, 'a user name without white space and colons').optional(), {
    about: 'The user to log in as.',
    change: 'restart',
    example: 'backup',
  }),
  passwordFile: setting(absolutePath().optional(), {
    about: 'A file with the password; on Nextcloud an app password. It is read again when it is refused.',
    change: 'restart',
    secret: true,
    example: '/etc/holdfast/nextcloud.password',
  }),
  caFile: s3Settings.caFile,
  conditionalCreate: s3Settings.conditionalCreate,
}

export function checkWebDavLogin(
  given: { readonly user?: string | undefined; readonly passwordFile?: string | undefined },
  context: z.core.$RefinementCtx,
): void {
  if ((given.user === undefined) === (given.passwordFile === undefined)) return
  const [present, absent] = given.user === undefined ? ['passwordFile', 'user'] : ['user', 'passwordFile']
  context.addIssue({ code: 'custom', path: [present], message: `${absent} beside it` })
}

/** What a repository's own checks see; the keys above that belong together. */
export interface S3CredentialSettings {
  readonly accessKeyIdFile?: string | undefined
  readonly secretAccessKeyFile?: string | undefined
  readonly credentialsFile?: string | undefined
}

export function checkS3Credentials(given: S3CredentialSettings, context: z.core.$RefinementCtx): void {
  const complain = (key: string, message: string): void => {
    context.addIssue({ code: 'custom', path: [key], message })
  }
  const { accessKeyIdFile, secretAccessKeyFile, credentialsFile } = given
  if (accessKeyIdFile !== undefined && secretAccessKeyFile === undefined) {
    complain('accessKeyIdFile', 'secretAccessKeyFile beside it')
  }
  if (secretAccessKeyFile !== undefined && accessKeyIdFile === undefined) {
    complain('secretAccessKeyFile', 'accessKeyIdFile beside it')
  }
  if (credentialsFile !== undefined && (accessKeyIdFile ?? secretAccessKeyFile) !== undefined) {
    complain('credentialsFile', 'either this or accessKeyIdFile and secretAccessKeyFile')
  }
}

/** An address without credentials, query or path behind the host. */
function httpAddress(): z.ZodString {
  return text(/^https?:\/\/(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9.-]+)(:\d{1,5})?\/?$/, 'an address like https://host:port')
}
