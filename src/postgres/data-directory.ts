import { access, open, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { syncDirectory, writeFileDurably } from '../std/durable-file.ts'
import { Fault } from '../std/fault.ts'
import { renderHostBasedAuthentication } from './core/host-based-authentication.ts'
import type { HostBasedAuthentication } from './core/host-based-authentication.ts'
import { isOneLine } from './core/quoting.ts'
import { refusedParameters, renderServerSettings } from './core/server-settings.ts'
import type { ServerSettings } from './core/server-settings.ts'
import { postgresFaults } from './faults.ts'

const includeLine = "include_if_exists = 'holdfast.conf'"

/** The major release that wrote a data directory. */
export async function dataDirectoryMajor(dataDirectory: string): Promise<number> {
  const text = await readFile(join(dataDirectory, 'PG_VERSION'), 'utf8').catch((cause: NodeJS.ErrnoException) => {
    throw new Fault(
      postgresFaults['postgres-no-data-directory'],
      `Cannot use ${dataDirectory} as a data directory: PG_VERSION cannot be read (${cause.code ?? cause.message})`,
      { cause, details: { dataDirectory } },
    )
  })
  return Number.parseInt(text, 10)
}

/** True when a directory holds the data of a PostgreSQL server. */
export async function isDataDirectory(directory: string): Promise<boolean> {
  return access(join(directory, 'PG_VERSION')).then(
    () => true,
    () => false,
  )
}

/** Writes `holdfast.conf` and makes `postgresql.conf` include it last, each so that a crash leaves the old or the new. */
export async function writeServerConfiguration(dataDirectory: string, settings: ServerSettings): Promise<void> {
  const refused = refusedParameters(settings)
  if (refused.length > 0) {
    const list = refused.map(({ name, reason }) => `${name} ${reason}`).join(', ')
    throw new Fault(
      postgresFaults['postgres-setting-refused'],
      `Cannot write the configuration of PostgreSQL: ${list}`,
      {
        details: { parameters: refused.map(({ name }) => name) },
      },
    )
  }
  await writeFileDurably(join(dataDirectory, 'holdfast.conf'), renderServerSettings(settings))
  await includeConfiguration(join(dataDirectory, 'postgresql.conf'))
}

/** Writes the whole of `pg_hba.conf`. A running server reads it at its next reload. */
export async function writeHostBasedAuthentication(
  dataDirectory: string,
  rules: HostBasedAuthentication,
): Promise<void> {
  const names = [
    rules.superuser,
    rules.replicationUser,
    ...rules.memberAddresses,
    ...(rules.clients ?? []).flatMap(({ database, user, address }) => [database, user, address]),
  ]
  const unusable = names.find((name) => name === '' || !isOneLine(name))
  if (unusable !== undefined) {
    throw new Fault(
      postgresFaults['postgres-setting-refused'],
      `Cannot write pg_hba.conf: ${JSON.stringify(unusable)} is no name or address`,
    )
  }
  await writeFileDurably(join(dataDirectory, 'pg_hba.conf'), renderHostBasedAuthentication(rules))
}

/** How a server begins when it is next started: as a standby, as a recovery from an archive, or as a primary. */
export type StartRole = 'standby' | 'recovery' | 'primary'

/** Makes exactly the signal file that a role needs, durably. */
export async function writeSignalFiles(dataDirectory: string, role: StartRole): Promise<void> {
  const wanted = { standby: 'standby.signal', recovery: 'recovery.signal', primary: undefined }[role]
  if (wanted !== undefined) await (await open(join(dataDirectory, wanted), 'a', 0o600)).close()
  for (const name of ['standby.signal', 'recovery.signal']) {
    if (name !== wanted) await rm(join(dataDirectory, name), { force: true })
  }
  await syncDirectory(dataDirectory)
}

async function includeConfiguration(path: string): Promise<void> {
  const text = await readFile(path, 'utf8')
  const lines = text.trimEnd().split('\n')
  if (lines.at(-1) === includeLine) return
  const kept = lines.filter((line) => line !== includeLine)
  await writeFileDurably(path, `${[...kept, includeLine].join('\n')}\n`)
}
