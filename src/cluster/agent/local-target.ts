import type { ConnectionTarget } from '../../postgres/connection-target.ts'
import type { AgentOptions } from './agent-options.ts'
import { socketDirectory } from './server-configuration.ts'

/** The node's own server, as superuser over its unix socket. */
export function localTarget(options: AgentOptions): ConnectionTarget {
  return {
    host: socketDirectory(options),
    port: options.port,
    user: options.superuser.name,
    password: options.superuser.password,
    database: 'postgres',
    applicationName: 'holdfast agent',
  }
}
