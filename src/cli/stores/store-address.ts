import { resolve } from 'node:path'
import type { RepositoryConfig } from '../../config/schema.ts'
import { repositorySchema } from '../../config/storage-sections.ts'
import { Fault } from '../../std/fault.ts'
import { cliFaults } from '../faults.ts'

/** The name under which messages speak of a repository that is given by its address. */
const addressName = 'address'

/** What opens the repository; paths as the command line gives them. */
export interface AddressKeys {
  readonly passphraseFile?: string | undefined
  readonly privateKeyFile?: string | undefined
}

/**
 * Reads an address: a path, `s3://BUCKET/PREFIX?endpoint=…&region=…`, or `webdavs://USER@HOST/PATH?passwordFile=…`
 * (`https://…` means the same). What stands behind the `?` are the keys of the configuration. Throws `cli-usage`, also for
 * a secret in an address, which the list of processes and the history of the shell would show to others.
 */
export function parseStoreAddress(address: string, keys: AddressKeys, directory: string): RepositoryConfig {
  const settings = readSettings(address, directory)
  const absolute = (path: string | undefined): string | undefined =>
    path === undefined ? undefined : resolve(directory, path)
  const opened = defined({
    passphraseFile: absolute(keys.passphraseFile),
    privateKeyFile: absolute(keys.privateKeyFile),
  })
  const result = repositorySchema.safeParse({ name: addressName, ...settings, ...opened })
  if (result.success) return result.data
  const [issue] = result.error.issues
  const at = issue?.code === 'unrecognized_keys' ? issue.keys.join(', ') : (issue?.path.join('.') ?? '')
  const unknown = issue?.code === 'unrecognized_keys' ? 'there is no such setting' : (issue?.message ?? '')
  throw unreadable(address, `${at === '' ? '' : `${at}: `}${unknown}`)
}

type Settings = Readonly<Record<string, unknown>>

function readSettings(address: string, directory: string): Settings {
  if (!/^[a-z][a-z0-9+]*:\/\//i.test(address)) {
    return { type: 'filesystem', path: resolve(directory, address) }
  }
  const url = parseUrl(address)
  if (url.password !== '') throw unreadable(address, 'a secret does not belong into it; name a file that holds it')
  const query = new Map(url.searchParams)
  const more = Object.fromEntries([...query].map(([key, value]) => [key, readValue(key, value, directory)]))
  switch (url.protocol) {
    case 'file:':
      return { type: 'filesystem', path: decodeURIComponent(url.pathname), ...more }
    case 's3:': {
      const prefix = decodeURIComponent(url.pathname).replace(/^\/+|\/+$/g, '')
      return { type: 's3', bucket: url.host, ...(prefix === '' ? {} : { prefix }), ...more }
    }
    case 'webdavs:':
    case 'https:':
    case 'webdav:':
    case 'http:': {
      const scheme = url.protocol === 'webdavs:' || url.protocol === 'https:' ? 'https' : 'http'
      const user = url.username === '' ? {} : { user: decodeURIComponent(url.username) }
      return { type: 'webdav', url: `${scheme}://${url.host}${url.pathname}`, ...user, ...more }
    }
    default:
      throw unreadable(address, `${url.protocol}// is no kind of store; there are s3, webdavs and paths`)
  }
}

function parseUrl(address: string): URL {
  try {
    return new URL(address)
  } catch {
    throw unreadable(address, 'it is no address')
  }
}

/** Files may be named from where we are; switches are no texts. */
function readValue(key: string, value: string, directory: string): unknown {
  if (key.endsWith('File')) return resolve(directory, value)
  if (value === 'true' || value === 'false') return value === 'true'
  return value
}

function defined(values: Readonly<Record<string, string | undefined>>): Readonly<Record<string, string>> {
  return Object.fromEntries(Object.entries(values).filter((entry): entry is [string, string] => entry[1] !== undefined))
}

function unreadable(address: string, reason: string): Fault {
  const shown = address.replace(/\/\/[^/@]*@/, '//…@').replace(/\?.*$/, '')
  return new Fault(cliFaults['cli-usage'], `Cannot read the store's address ${shown}: ${reason}`, {
    hint: 'Like /srv/backup, s3://BUCKET/PREFIX?endpoint=https://s3.example.org&caFile=/ca.pem, or webdavs://USER@HOST/PATH?passwordFile=/file.',
  })
}
