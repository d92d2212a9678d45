import { join } from 'node:path'
import type { Config } from '../config/schema.ts'
import { readSecretFile } from '../config/secret-file.ts'
import type { ConnectionTarget } from '../postgres/connection-target.ts'

/** Where PostgreSQL of this node has its unix socket. */
export function socketDirectory(config: Config): string {
  return join(config.node.stateDirectory, 'run')
}

/** The superuser's connection to this node's server, over its unix socket. */
export async function localSuperuser(config: Config): Promise<ConnectionTarget> {
  const { superuser, port } = config.postgres
  return {
    host: socketDirectory(config),
    port,
    user: superuser.name,
    password: await readSecretFile('postgres.superuser.passwordFile', superuser.passwordFile),
    database: 'postgres',
  }
}
