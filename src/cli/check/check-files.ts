import { constants } from 'node:fs'
import { access, readdir, stat, statfs } from 'node:fs/promises'
import { dirname } from 'node:path'
import type { Config } from '../../config/schema.ts'
import { readSecretFile } from '../../config/secret-file.ts'
import { describeBytes } from '../../std/byte-size.ts'
import { fail, look, pass, warn } from './check-item.ts'
import type { CheckItem, Observation } from './check-item.ts'
import { repositorySecrets } from './repository-secrets.ts'

const scarceShare = 0.1
const scarceBytes = 1024 ** 3

/** Directories, their permissions and room, and the files that hold secrets. */
export async function checkFiles(config: Config): Promise<readonly CheckItem[]> {
  const { dataDirectory, stateDirectory } = config.node
  const directories = [
    look(`data directory ${dataDirectory}`, () => observeDataDirectory(dataDirectory)),
    look(`state directory ${stateDirectory}`, () => observeOwnDirectory(stateDirectory)),
  ]
  const places = [dataDirectory, stateDirectory, ...localPlaces(config)]
  const room = await Promise.all(places.map((place) => look(`room for ${place}`, () => observeRoom(place))))
  const secrets = secretFiles(config).map(([key, file]) =>
    look(`secret ${key}`, async () => {
      await readSecretFile(key, file)
      return pass(`${file} can be read by its owner only`)
    }),
  )
  return [...(await Promise.all(directories)), ...room, ...(await Promise.all(secrets))]
}

function secretFiles(config: Config): readonly (readonly [string, string])[] {
  const { superuser, replication } = config.postgres
  const repositories = config.repositories.flatMap((repository) =>
    Object.entries(repositorySecrets(repository)).map(
      ([key, file]) => [`repositories.${repository.name}.${key}`, file] as const,
    ),
  )
  return [
    ['postgres.superuser.passwordFile', superuser.passwordFile],
    ['postgres.replication.passwordFile', replication.passwordFile],
    ...repositories,
  ]
}

/** Directories of repositories on this machine. */
function localPlaces(config: Config): readonly string[] {
  return config.repositories.flatMap((repository) => (repository.type === 'filesystem' ? [repository.path] : []))
}

async function observeDataDirectory(directory: string): Promise<Observation> {
  const found = await stat(directory).catch(() => undefined)
  if (found === undefined) return await observeCreatable(directory)
  if (!found.isDirectory()) return fail('it is not a directory')
  const names = await readdir(directory)
  if (names.length === 0) return pass('empty: it will be created or cloned')
  if (!names.includes('PG_VERSION')) {
    return fail(
      'it holds something that is no PostgreSQL data directory',
      'Move it away or configure another directory.',
    )
  }
  if (found.uid !== process.getuid?.())
    return fail('it belongs to another user', 'Run Holdfast as the owner of the data.')
  return (found.mode & 0o077) === 0 || (found.mode & 0o077) === 0o050
    ? pass('a PostgreSQL data directory of ours')
    : fail(`its mode is ${(found.mode & 0o777).toString(8)}; PostgreSQL wants 700 or 750`, `chmod 700 ${directory}`)
}

async function observeOwnDirectory(directory: string): Promise<Observation> {
  const found = await stat(directory).catch(() => undefined)
  if (found === undefined) return await observeCreatable(directory)
  if (!found.isDirectory()) return fail('it is not a directory')
  if (found.uid !== process.getuid?.()) return fail('it belongs to another user', 'Run Holdfast as its owner.')
  return (found.mode & 0o077) === 0
    ? pass('ours, closed to others')
    : warn(`its mode is ${(found.mode & 0o777).toString(8)}, so others can look into it`, `chmod 700 ${directory}`)
}

async function observeCreatable(directory: string): Promise<Observation> {
  const parent = await nearestExisting(directory)
  const writable = await access(parent, constants.W_OK | constants.X_OK).then(
    () => true,
    () => false,
  )
  return writable
    ? pass(`absent: it will be created below ${parent}`)
    : fail(
        `absent, and this user may not create it below ${parent}`,
        'Create it and give it to the user Holdfast runs as.',
      )
}

async function observeRoom(place: string): Promise<Observation> {
  const { bavail, blocks, bsize } = await statfs(await nearestExisting(place))
  const [free, total] = [bavail * bsize, blocks * bsize]
  const text = `${describeBytes(free)} of ${describeBytes(total)} free`
  return free < scarceBytes || free < total * scarceShare
    ? warn(text, 'Free or add space before it runs out.')
    : pass(text)
}

async function nearestExisting(path: string): Promise<string> {
  const exists = await stat(path).then(
    () => true,
    () => false,
  )
  return exists || path === dirname(path) ? path : await nearestExisting(dirname(path))
}
