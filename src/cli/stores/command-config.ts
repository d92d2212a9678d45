import { join } from 'node:path'
import { configFaults } from '../../config/faults.ts'
import { configSchema, type Config, type RepositoryConfig } from '../../config/schema.ts'
import { clusterObject, isClusterName } from '../../repository/core/object-names.ts'
import { Fault, isFault } from '../../std/fault.ts'
import type { CommandContext } from '../command.ts'
import { loadContextConfig } from '../context-config.ts'
import { cliFaults } from '../faults.ts'
import { openConfiguredStore } from '../open-configured.ts'
import { parseStoreAddress } from './store-address.ts'
import type { StoreOptionValues } from './store-options.ts'

/**
 * What a command works with: the configuration, or with `--store` one in which the repository at that address is the only
 * one. That works on a machine that has no configuration: then the cluster is the one named, else the only one there.
 */
export async function commandConfig(context: CommandContext, options: StoreOptionValues): Promise<Config> {
  if (options.store === undefined) {
    requireNothingElse(options)
    return (await loadContextConfig(context)).config
  }
  const own = await ownConfig(context)
  const [first] = own?.repositories ?? []
  const given = options.passphraseFile ?? options.privateKeyFile
  const keys = given === undefined && first !== undefined ? first : options
  if ((keys.passphraseFile ?? keys.privateKeyFile) === undefined) {
    const message = 'Cannot open the repository of --store: --passphrase-file or --private-key-file is missing'
    throw new Fault(cliFaults['cli-usage'], message, { hint: 'One of them opens it, as when it was made.' })
  }
  const repository = parseStoreAddress(options.store, keys, context.workingDirectory)
  const cluster = options.cluster ?? own?.cluster ?? (await onlyCluster(context, repository))
  return { ...(own ?? placeholder()), cluster, repositories: [repository] }
}

function requireNothingElse(options: StoreOptionValues): void {
  const given = Object.entries({
    '--passphrase-file': options.passphraseFile,
    '--private-key-file': options.privateKeyFile,
    '--cluster': options.cluster,
  }).filter(([, value]) => value !== undefined)
  if (given.length === 0) return
  const [[name] = ['']] = given
  throw new Fault(cliFaults['cli-usage'], `Cannot use ${name} without --store: the configuration says what it is`)
}

/** This machine's configuration, where it has one; one that is named must be there. */
async function ownConfig(context: CommandContext): Promise<Config | undefined> {
  try {
    return (await loadContextConfig(context)).config
  } catch (error) {
    const named = context.configPath !== undefined || Boolean(context.environment['HOLDFAST_CONFIG'])
    if (named || !isFault(error, configFaults['config-missing'])) throw error
    return undefined
  }
}

/** Every default, and places that are nowhere: no node runs by it. */
function placeholder(): Config {
  const nowhere = '/nonexistent'
  return configSchema.parse({
    cluster: 'none',
    node: {
      name: 'none',
      address: 'localhost',
      dataDirectory: join(nowhere, 'data'),
      stateDirectory: join(nowhere, 'state'),
    },
    postgres: { superuser: { passwordFile: nowhere }, replication: { passwordFile: nowhere } },
    coordinator: { type: 'embedded', file: join(nowhere, 'coordinator.db') },
  })
}

/** Looks through the whole repository; a cluster's identity is stored beside its backups. */
async function onlyCluster(context: CommandContext, repository: RepositoryConfig): Promise<string> {
  const { clock, signal } = context
  await using store = await openConfiguredStore(repository, { clock, signal })
  const found: string[] = []
  for await (const { key } of store.list('', { signal })) {
    const name = key.slice(0, key.indexOf('/'))
    if (key === clusterObject(name) && isClusterName(name)) found.push(name)
  }
  const [only, ...others] = found
  if (only !== undefined && others.length === 0) return only
  const what = only === undefined ? 'holds no cluster' : `holds more than one cluster: ${found.join(', ')}`
  throw new Fault(cliFaults['cli-usage'], `Cannot choose a cluster: ${store.description} ${what}`, {
    hint: 'Name it with --cluster.',
    details: { clusters: found },
  })
}
