import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import {
  cloneDataDirectory,
  type CloneOptions,
  type CloneResult,
} from '../../../src/postgres/clone/clone-data-directory.ts'
import type { ConnectionTarget } from '../../../src/postgres/connection-target.ts'
import { writeServerConfiguration } from '../../../src/postgres/data-directory.ts'
import { writePassFile } from '../../../src/postgres/pass-file.ts'
import { freePort } from '../../../src/postgres/port.ts'
import { startServer, type RunningServer } from '../../../src/postgres/server.ts'
import { replicationUser, type TestServer } from '../../support/postgres.ts'

export interface Standby extends AsyncDisposable {
  readonly clone: CloneResult
  readonly dataDirectory: string
  readonly target: ConnectionTarget
  readonly replicationTarget: ConnectionTarget
  readonly server: RunningServer
}

/** Clones a server with our own client and starts the clone as its streaming standby, on a slot of the same name. */
export async function startStandby(
  primary: TestServer,
  name: string,
  options: Omit<CloneOptions, 'slot'> = {},
): Promise<Standby> {
  const dataDirectory = join(primary.directory, name)
  const socketDirectory = join(primary.directory, `${name}-run`)
  const passFile = join(primary.directory, `${name}.pass`)
  await mkdir(socketDirectory, { mode: 0o700 })
  const clone = await cloneDataDirectory(primary.replicationTarget, dataDirectory, { ...options, slot: name })
  const entry = { host: '*', port: '*', database: '*', user: replicationUser } as const
  await writePassFile(passFile, [{ entry, password: primary.replicationTarget.password }])
  const port = await freePort()
  await writeServerConfiguration(dataDirectory, {
    ...primary.settings,
    port,
    socketDirectory,
    clusterName: name,
    upstream: {
      host: '127.0.0.1',
      port: primary.port,
      user: replicationUser,
      passFile,
      slot: name,
      applicationName: name,
    },
  })
  const server = await startServer(primary.installation, dataDirectory, {
    logFile: join(primary.directory, `${name}.log`),
    parameters: { fsync: 'off' },
  })
  return {
    clone,
    dataDirectory,
    target: { ...primary.target, port },
    replicationTarget: { ...primary.replicationTarget, port },
    server,
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  }
}
