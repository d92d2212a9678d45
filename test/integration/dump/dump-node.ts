import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { stringify } from 'yaml'
import { freePort } from '../../../src/postgres/port.ts'
import { superuserPassword } from '../../support/postgres.ts'
import type { DumpScene } from './dump-scene.ts'

/** Writes a configuration with which the commands take the server of the scene for that of their node. */
export async function configureNode({ server, passphraseFile }: DumpScene, configFile: string): Promise<void> {
  const passwordFile = join(server.directory, 'password')
  const repository = join(server.directory, 'local')
  await writeFile(passwordFile, superuserPassword.reveal(), { mode: 0o600 })
  await mkdir(repository)
  // The node's socket is in its state directory, where the test's server has it too. Dumps need no data directory.
  const dataDirectory = `${server.directory}-data`
  const config = {
    cluster: 'main',
    node: { name: 'n1', address: '127.0.0.1', dataDirectory, stateDirectory: server.directory },
    postgres: { port: server.port, superuser: { passwordFile }, replication: { passwordFile } },
    api: { address: '127.0.0.1', port: await freePort() },
    coordinator: { type: 'embedded', file: join(server.directory, 'coordinator.db') },
    repositories: [{ name: 'local', type: 'filesystem', path: repository, passphraseFile }],
  }
  await writeFile(configFile, stringify(config))
}
