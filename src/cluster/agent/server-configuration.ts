import { join } from 'node:path'
import type { ServerSettings, Upstream } from '../../postgres/core/server-settings.ts'
import { writeHostBasedAuthentication, writeServerConfiguration } from '../../postgres/data-directory.ts'
import { writePassFile } from '../../postgres/pass-file.ts'
import { reloadServer } from '../../postgres/postmaster.ts'
import { slotName } from '../core/slot-name.ts'
import { gate, renderSyncNames } from '../core/sync-names.ts'
import type { SyncSet } from '../core/sync-set.ts'
import type { AgentOptions } from './agent-options.ts'

/**
 * The part of PostgreSQL's configuration that changes with a node's role. On a standby `synchronous_standby_names` names
 * somebody who never comes: so it is never empty there, and a promoted server waits for its set from its first commit.
 */
export interface ServerConfiguration {
  readonly upstream: { readonly host: string; readonly port: number } | null
  /** Null: this is a standby. */
  readonly sync: SyncSet | 'gate' | null
}

export class ConfigurationWriter {
  readonly #options: AgentOptions
  #memberHosts: readonly string[]
  #last: ServerConfiguration = { upstream: null, sync: null }

  constructor(options: AgentOptions) {
    this.#options = options
    this.#memberHosts = [options.host]
  }

  get last(): ServerConfiguration {
    return this.#last
  }

  /** Writes files only; a running server takes them with {@link reload}. */
  async write(configuration: ServerConfiguration): Promise<void> {
    const { dataDirectory } = this.#options
    await this.#writePassFile(configuration)
    await writeServerConfiguration(dataDirectory, this.#settings(configuration))
    this.#last = configuration
  }

  async writeAndReload(configuration: ServerConfiguration): Promise<void> {
    await this.write(configuration)
    await this.reload()
  }

  async reload(): Promise<void> {
    await reloadServer(this.#options.dataDirectory)
  }

  async writeAuthentication(): Promise<void> {
    const { dataDirectory, superuser, replication, clients } = this.#options
    await writeHostBasedAuthentication(dataDirectory, {
      superuser: superuser.name,
      replicationUser: replication.name,
      memberAddresses: this.#memberHosts,
      clients,
    })
  }

  /** Takes note of where members are; true when `pg_hba.conf` has to be written anew. */
  noteMembers(hosts: readonly string[]): boolean {
    const known = [...new Set([...this.#memberHosts, ...hosts])].toSorted()
    if (known.length === this.#memberHosts.length) return false
    this.#memberHosts = known
    return true
  }

  #settings({ upstream, sync }: ServerConfiguration): ServerSettings {
    const options = this.#options
    return {
      port: options.port,
      listenAddresses: options.listenAddresses,
      socketDirectory: socketDirectory(options),
      clusterName: options.node,
      memberCount: options.memberCount ?? 5,
      maxSlotWalKeepSize: options.maxSlotWalKeepSize,
      synchronousStandbyNames: renderSyncNames(sync === null || sync === 'gate' ? gate : sync),
      ...(upstream === null ? {} : { upstream: this.#upstream(upstream) }),
      restartAfterCrash: false,
      parameters: options.parameters,
    }
  }

  #upstream({ host, port }: { readonly host: string; readonly port: number }): Upstream {
    const { node, replication } = this.#options
    return {
      host,
      port,
      user: replication.name,
      passFile: this.#passFile(),
      slot: slotName(node),
      applicationName: node,
    }
  }

  async #writePassFile({ upstream }: ServerConfiguration): Promise<void> {
    if (upstream === null) return
    const { replication } = this.#options
    const entry = { host: upstream.host, port: upstream.port, database: '*', user: replication.name }
    await writePassFile(this.#passFile(), [{ entry, password: replication.password }])
  }

  #passFile(): string {
    return join(this.#options.stateDirectory, 'upstream.pass')
  }
}

export function socketDirectory(options: { readonly stateDirectory: string }): string {
  return join(options.stateDirectory, 'run')
}
