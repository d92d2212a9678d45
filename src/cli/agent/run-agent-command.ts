import { mkdir } from 'node:fs/promises'
import { isIPv6 } from 'node:net'
import type { ArchiverReport } from '../../archive/archiver-process.ts'
import type { AgentOptions } from '../../cluster/agent/agent-options.ts'
import { runAgent } from '../../cluster/agent/run-agent.ts'
import type { Agent } from '../../cluster/agent/run-agent.ts'
import type { LoadedConfig } from '../../config/load.ts'
import type { Config } from '../../config/schema.ts'
import { readSecretFile } from '../../config/secret-file.ts'
import { dataDirectoryMajor, isDataDirectory } from '../../postgres/data-directory.ts'
import { chooseInstallation, installationSearch } from '../../postgres/installation.ts'
import type { Installation } from '../../postgres/installation.ts'
import { Fault } from '../../std/fault.ts'
import { openLog } from '../../std/log.ts'
import type { CommandContext } from '../command.ts'
import { cliFaults } from '../faults.ts'
import { openConfiguredCoordinator } from '../open-configured.ts'
import { keepRepositories, type RepositoryReports } from './keep-repositories.ts'
import { gapNames, openSchedules } from './open-schedules.ts'
import { serveBackupOrders } from './serve-backup-orders.ts'

/** Runs the node of a configuration until the signal aborts: agent, HTTP server, and the processes for its repositories. */
export async function runAgentCommand({ file, config }: LoadedConfig, context: CommandContext): Promise<void> {
  const { clock, signal, environment } = context
  if (process.getuid?.() === 0) throw new Fault(cliFaults['cli-runs-as-root'], 'Cannot run the agent: this is root')
  await makeStateDirectory(config.node.stateDirectory)
  const log = openLog({ level: config.log.level }).with({ node: config.node.name })
  const reports: RepositoryReports = { archivers: new Map(), copiers: new Map() }
  let agent: Agent | undefined
  await using coordinator = await openConfiguredCoordinator(config, clock, { create: true })
  const children = { program: context.program, configFile: file, environment, clock, log, reports }
  const options: AgentOptions = {
    ...(await agentOptions(config)),
    installation: await nodeInstallation(config, context),
    coordinator,
    agentVersion: context.version,
    clock,
    log,
    whileLeading: async ({ term }, leading) => {
      const schedules = openSchedules({ file, config }, { coordinator, term, context, log })
      const onArchiver = (report: ArchiverReport | undefined): void => schedules.noteGaps(gapNames(report))
      await Promise.all([keepRepositories(config, { ...children, onArchiver }, leading), schedules.keep(leading)])
    },
  }
  await using server = await context.openHttpServer({
    ...config.api,
    currentStatus: () => agent?.status(),
    details: () => ({
      now: clock.wall(),
      archivers: Object.fromEntries(reports.archivers),
      copiers: Object.fromEntries(reports.copiers),
    }),
    log,
  })
  log.info('agent starts', { version: context.version, config: file, http: `${server.address}:${server.port}` })
  const serving = serveBackupOrders({ file, config }, { coordinator, context, log })
  await runAgent(options, { signal, onReady: (ready) => (agent = ready) })
  await serving
  log.info('agent stopped')
}

async function makeStateDirectory(directory: string): Promise<void> {
  try {
    await mkdir(directory, { recursive: true, mode: 0o700 })
  } catch (cause) {
    const reason = (cause as NodeJS.ErrnoException).code ?? String(cause)
    const message = `Cannot make the state directory ${directory}: ${reason}`
    throw new Fault(cliFaults['cli-directory-unusable'], message, { cause, details: { directory } })
  }
}

type ConfiguredOptions = Omit<AgentOptions, 'installation' | 'coordinator' | 'agentVersion' | 'clock' | 'log'>

async function agentOptions(config: Config): Promise<ConfiguredOptions> {
  const { node, postgres, api, lease, durability } = config
  const secret = readSecretFile
  return {
    cluster: config.cluster,
    node: node.name,
    host: node.address,
    port: postgres.port,
    listenAddresses: postgres.listenAddresses,
    apiUrl: `http://${isIPv6(node.address) ? `[${node.address}]` : node.address}:${api.port}`,
    dataDirectory: node.dataDirectory,
    stateDirectory: node.stateDirectory,
    superuser: {
      name: postgres.superuser.name,
      password: await secret('postgres.superuser.passwordFile', postgres.superuser.passwordFile),
    },
    replication: {
      name: postgres.replication.user,
      password: await secret('postgres.replication.passwordFile', postgres.replication.passwordFile),
    },
    clients: postgres.clients,
    walSegmentBytes: postgres.walSegmentMegabytes * 1024 * 1024,
    parameters: postgres.parameters,
    durability: { mode: durability.mode, standbys: durability.synchronousStandbys },
    lease: {
      ttlMs: lease.ttl.ms,
      renewMs: lease.renew.ms,
      stopAheadMs: lease.stopAhead.ms,
      killAheadMs: lease.killAhead.ms,
    },
    priority: node.priority,
    site: node.site,
    tags: node.tags,
    labels: node.labels,
  }
}

/** PostgreSQL of the configured major, else of the one that wrote the data directory, else the newest found. */
async function nodeInstallation(config: Config, { environment }: CommandContext): Promise<Installation> {
  const { dataDirectory } = config.node
  const { major, binDirectory } = config.postgres
  const present = (await isDataDirectory(dataDirectory)) ? await dataDirectoryMajor(dataDirectory) : undefined
  const search = installationSearch(environment, process.getuid?.() ?? 0)
  return await chooseInstallation(search, { binDirectory, major: major ?? present })
}
