import { spawn, type ChildProcess } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdir, open, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { stringify } from 'yaml'
import type { ConnectionTarget } from '../../postgres/connection-target.ts'
import { freePort } from '../../postgres/port.ts'
import { Secret } from '../../std/secret.ts'
import { killAll, processesBelow } from './node-processes.ts'

/**
 * Three nodes on this machine, each its own `holdfast agent` with its own configuration file, as an operator would set
 * them up on three machines. Everything lies below one directory.
 */
export interface DemoCluster extends AsyncDisposable {
  readonly name: string
  readonly directory: string
  readonly nodes: readonly DemoNode[]
  readonly repositoryPath: string
  readonly passphraseFile: string
  /** The nodes as clients see them, in order. */
  readonly targets: readonly ConnectionTarget[]
  node(name: string): DemoNode
  startAgent(node: DemoNode): Promise<void>
}

export interface DemoNode {
  readonly name: string
  readonly directory: string
  readonly dataDirectory: string
  readonly stateDirectory: string
  readonly configFile: string
  readonly port: number
  readonly apiPort: number
  readonly target: ConnectionTarget
}

export interface DemoClusterOptions {
  readonly directory: string
  /** The program's own file, run again for the agents. */
  readonly program: string
  readonly environment: Readonly<Record<string, string | undefined>>
  readonly major: number | undefined
  /** Where PostgreSQL's programs are; left out, they are looked for. */
  readonly binDirectory?: string | undefined
}

const superuser = 'postgres'

/** Writes the configurations and secrets of a cluster; starts nothing. */
export async function prepareDemoCluster(options: DemoClusterOptions): Promise<DemoCluster> {
  const { directory } = options
  const secrets = join(directory, 'secrets')
  const repositoryPath = join(directory, 'repository')
  await mkdir(secrets, { recursive: true, mode: 0o700 })
  await mkdir(repositoryPath, { mode: 0o700 })
  const secret = async (name: string): Promise<string> => {
    await writeFile(join(secrets, name), randomBytes(24).toString('base64url'), { mode: 0o600 })
    return join(secrets, name)
  }
  const files = {
    superuser: await secret('superuser'),
    replication: await secret('replication'),
    passphrase: await secret('passphrase'),
  }
  const password = new Secret(await readFile(files.superuser, 'utf8'))
  const nodes: DemoNode[] = []
  for (const name of ['n1', 'n2', 'n3']) {
    const node = await prepareNode(name, options, password)
    await writeFile(node.configFile, stringify(nodeConfig(node, options, files, repositoryPath)), { mode: 0o600 })
    nodes.push(node)
  }
  const agents = new Map<string, ChildProcess>()
  return {
    name: 'demo',
    directory,
    nodes,
    repositoryPath,
    passphraseFile: files.passphrase,
    targets: nodes.map((node) => node.target),
    node: (name) => {
      const node = nodes.find((candidate) => candidate.name === name)
      if (node === undefined) throw new Error(`no node ${name}`)
      return node
    },
    startAgent: async (node) => {
      agents.set(node.name, await startAgent(node, options))
    },
    [Symbol.asyncDispose]: async () => {
      for (const agent of agents.values()) agent.removeAllListeners()
      await killAll(() => processesBelow(directory))
    },
  }
}

async function prepareNode(name: string, options: DemoClusterOptions, password: Secret): Promise<DemoNode> {
  const directory = join(options.directory, name)
  await mkdir(directory, { mode: 0o700 })
  const port = await freePort()
  return {
    name,
    directory,
    dataDirectory: join(directory, 'data'),
    stateDirectory: join(directory, 'state'),
    configFile: join(directory, 'holdfast.yaml'),
    port,
    apiPort: await freePort(),
    target: { host: '127.0.0.1', port, user: superuser, password, database: 'postgres', applicationName: 'demo' },
  }
}

function nodeConfig(
  node: DemoNode,
  options: DemoClusterOptions,
  files: { readonly superuser: string; readonly replication: string; readonly passphrase: string },
  repositoryPath: string,
): object {
  return {
    cluster: 'demo',
    node: {
      name: node.name,
      address: '127.0.0.1',
      dataDirectory: node.dataDirectory,
      stateDirectory: node.stateDirectory,
    },
    postgres: {
      ...(options.major === undefined ? {} : { major: options.major }),
      ...(options.binDirectory === undefined ? {} : { binDirectory: options.binDirectory }),
      port: node.port,
      listenAddresses: ['127.0.0.1'],
      superuser: { name: superuser, passwordFile: files.superuser },
      replication: { passwordFile: files.replication },
      parameters: { shared_buffers: '64MB', max_connections: '50' },
    },
    api: { address: '127.0.0.1', port: node.apiPort },
    coordinator: { type: 'embedded', file: join(options.directory, 'coordinator', 'coordinator.db') },
    repositories: [{ name: 'local', type: 'filesystem', path: repositoryPath, passphraseFile: files.passphrase }],
    wal: { flush: '1s' },
    // The demo takes its backups itself, to show them.
    schedules: { backup: { at: 'off', atOnce: false }, verify: { at: 'off' }, keyTest: { at: 'off' } },
  }
}

/** Starts a node's agent in a process group of its own, so that Ctrl-C reaches the demo first. */
async function startAgent(node: DemoNode, options: DemoClusterOptions): Promise<ChildProcess> {
  const log = await open(join(node.directory, 'agent.log'), 'a', 0o600)
  try {
    const child = spawn(process.execPath, [options.program, 'agent', '--config', node.configFile], {
      cwd: node.directory,
      env: options.environment,
      detached: true,
      stdio: ['ignore', log.fd, log.fd],
    })
    await new Promise((resolve, reject) => {
      child.once('spawn', resolve)
      child.once('error', reject)
    })
    return child
  } finally {
    await log.close()
  }
}
