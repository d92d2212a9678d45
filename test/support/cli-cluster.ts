import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { stringify } from 'yaml'
import { freePort } from '../../src/postgres/port.ts'
import type { Sql } from '../../src/postgres/sql.ts'
import { openReadWriteSql } from '../../src/postgres/read-write-connection.ts'
import { systemClock } from '../../src/std/clock.ts'
import { Secret } from '../../src/std/secret.ts'
import { waitUntil } from '../../src/std/wait-until.ts'

const program = join(import.meta.dirname, '..', '..', 'src', 'main.ts')

export interface CliOutcome {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

/** A cluster of real `holdfast agent` processes, operated by the command line alone. */
export interface CliCluster extends AsyncDisposable {
  readonly nodes: readonly CliNode[]
  readonly repositoryPath: string
  readonly passphraseFile: string
  start(node: CliNode): ChildProcess
  /** Ends the agent with SIGTERM and gives its exit code. */
  stop(node: CliNode): Promise<number | null>
  holdfast(node: CliNode, ...args: readonly string[]): Promise<CliOutcome>
  /** Runs the command with `--json` until its document satisfies `wanted`. */
  waitFor<Document>(node: CliNode, command: string, wanted: (document: Document) => boolean): Promise<Document>
  /** On whichever node takes writes. */
  withPrimary<Result>(work: (sql: Sql) => Promise<Result>): Promise<Result>
}

export interface CliNode {
  readonly name: string
  readonly configFile: string
  readonly port: number
  readonly apiPort: number
}

export function runHoldfast(
  args: readonly string[],
  directory: string,
  onStart?: (child: ChildProcess) => void,
  launcher: readonly string[] = [],
): Promise<CliOutcome> {
  return new Promise((resolve, reject) => {
    const [file = '', ...words] = [...launcher, process.execPath, program, ...args]
    const child = spawn(file, words, {
      cwd: directory,
      env: { PATH: process.env['PATH'], HOME: process.env['HOME'] },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    onStart?.(child)
    let stdout = ''
    let stderr = ''
    child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text))
    child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text))
    child.on('error', reject)
    child.on('close', (code) => resolve({ code, stdout, stderr }))
  })
}

export interface CliClusterOptions {
  /** Words before each command of a node, for one that runs in a namespace of its own. */
  readonly launchers?: ReadonlyMap<string, readonly string[]>
  /** By default no job runs by itself. */
  readonly schedules?: object
}

/** Writes configurations and secrets for nodes of these names below a directory, and starts nothing. */
export async function prepareCliCluster(
  directory: string,
  names: readonly string[],
  { launchers, schedules }: CliClusterOptions = {},
): Promise<CliCluster> {
  const secretsDirectory = join(directory, 'secrets')
  const repositoryPath = join(directory, 'repository')
  await mkdir(secretsDirectory, { mode: 0o700 })
  await mkdir(repositoryPath, { recursive: true, mode: 0o700 })
  const secret = async (name: string): Promise<string> => {
    await writeFile(join(secretsDirectory, name), `${name} secret\n`, { mode: 0o600 })
    return join(secretsDirectory, name)
  }
  const passphraseFile = await secret('passphrase')
  const passwordFile = await secret('superuser')
  const replicationFile = await secret('replication')
  const nodes: CliNode[] = []
  for (const name of names) {
    const node = {
      name,
      configFile: join(directory, `${name}.yaml`),
      port: await freePort(),
      apiPort: await freePort(),
    }
    const config = {
      cluster: 'test',
      node: {
        name,
        address: '127.0.0.1',
        dataDirectory: join(directory, name, 'data'),
        stateDirectory: join(directory, name, 'state'),
      },
      postgres: {
        port: node.port,
        listenAddresses: ['127.0.0.1'],
        superuser: { passwordFile },
        replication: { passwordFile: replicationFile },
        parameters: { shared_buffers: '16MB', max_connections: 30 },
        walSegmentMegabytes: 1,
      },
      api: { address: '127.0.0.1', port: node.apiPort },
      coordinator: { type: 'embedded', file: join(directory, 'coordinator', 'coordinator.db') },
      repositories: [{ name: 'local', type: 'filesystem', path: repositoryPath, passphraseFile }],
      wal: { flush: '1s' },
      schedules: schedules ?? { backup: { at: 'off', atOnce: false }, verify: { at: 'off' }, keyTest: { at: 'off' } },
    }
    await mkdir(join(directory, name), { recursive: true, mode: 0o700 })
    await writeFile(node.configFile, stringify(config))
    nodes.push(node)
  }
  const agents = new Map<string, ChildProcess>()
  const launcherOf = (node: CliNode): readonly string[] => launchers?.get(node.name) ?? []
  const holdfast = (node: CliNode, ...args: readonly string[]): Promise<CliOutcome> =>
    runHoldfast([...args, '--config', node.configFile], directory, undefined, launcherOf(node))
  const stop = async (node: CliNode): Promise<number | null> => {
    const agent = agents.get(node.name)
    agents.delete(node.name)
    if (agent === undefined || agent.exitCode !== null || agent.signalCode !== null) return agent?.exitCode ?? null
    const ended = new Promise<number | null>((resolve) => agent.once('exit', resolve))
    agent.kill('SIGTERM')
    return await ended
  }
  return {
    nodes,
    repositoryPath,
    passphraseFile,
    holdfast,
    stop,
    start: (node) => {
      const [file, ...words] = [...launcherOf(node), process.execPath, program, 'agent', '--config', node.configFile]
      const agent = spawn(file, words, {
        cwd: directory,
        env: { PATH: process.env['PATH'], HOME: process.env['HOME'] },
        stdio: 'ignore',
      })
      agents.set(node.name, agent)
      return agent
    },
    waitFor: async <Document>(node: CliNode, command: string, wanted: (document: Document) => boolean) => {
      let last = ''
      const look = async (): Promise<Document | undefined> => {
        const { stdout } = await holdfast(node, command, '--json')
        last = stdout
        const document = JSON.parse(stdout) as Document
        return wanted(document) ? document : undefined
      }
      return await waitUntil(`what is wanted of ${command}`, look, {
        clock: systemClock,
        timeoutMs: 120_000,
        everyMs: 250,
      }).catch((error: unknown) => {
        throw new Error(`${command} last printed ${last}`, { cause: error })
      })
    },
    withPrimary: async (work) => {
      const targets = nodes.map(({ port }) => ({
        host: '127.0.0.1',
        port,
        user: 'postgres',
        password: new Secret('superuser secret'),
        database: 'postgres',
      }))
      await using sql = await openReadWriteSql(targets)
      return await work(sql)
    },
    [Symbol.asyncDispose]: async () => {
      await Promise.all(nodes.map(stop))
    },
  }
}
