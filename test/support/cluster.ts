import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { mkdir, open, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { killAll, postmasterPid, processesBelow } from '../../src/cli/demo/node-processes.ts'
import { clusterKeys } from '../../src/cluster/core/keys.ts'
import type { ClusterKeys } from '../../src/cluster/core/keys.ts'
import type { Durability } from '../../src/cluster/core/durability.ts'
import { readCluster } from '../../src/cluster/agent/read-cluster.ts'
import type { ClusterView } from '../../src/cluster/core/view.ts'
import type { LeaseOptions } from '../../src/cluster/agent/agent-options.ts'
import { openEmbeddedCoordinator } from '../../src/coordinator/embedded/embedded-coordinator.ts'
import type { Coordinator } from '../../src/coordinator/coordinator.ts'
import type { ConnectionTarget } from '../../src/postgres/connection-target.ts'
import type { Installation } from '../../src/postgres/installation.ts'
import { freePort } from '../../src/postgres/port.ts'
import { openReadWriteSql } from '../../src/postgres/read-write-connection.ts'
import { systemClock } from '../../src/std/clock.ts'
import { Secret } from '../../src/std/secret.ts'
import type { AgentProcessOptions } from './agent-process.ts'
import { createTestDirectory, testMajors } from './postgres.ts'

/**
 * A cluster of real agents, each a process with its fencer and PostgreSQL, as on machines of their own. Disposing it
 * kills every process and removes every file, whatever state it is in.
 */
export interface TestCluster extends AsyncDisposable {
  readonly directory: string
  readonly nodes: readonly TestNode[]
  readonly targets: readonly ConnectionTarget[]
  readonly coordinator: Coordinator
  readonly keys: ClusterKeys
  node(name: string): TestNode
  /** The agreed state, read now. */
  view(): Promise<ClusterView>
  /** The node that takes writes, once one does; `except` names one that does not count. */
  waitForPrimary(options?: WaitOptions & { readonly except?: string }): Promise<TestNode>
  /** Until every node that was started streams from the primary and the recorded voters are `voters` (default: all standbys). */
  waitRedundant(options?: WaitOptions & { readonly standbys?: number }): Promise<TestNode>
  waitUntil(
    what: string,
    condition: (view: ClusterView) => boolean | Promise<boolean>,
    options?: WaitOptions,
  ): Promise<void>
  switchover(to: string | null): Promise<void>
  pause(because: string): Promise<void>
  resume(): Promise<void>
}

export interface TestNode {
  readonly name: string
  readonly directory: string
  readonly dataDirectory: string
  readonly stateDirectory: string
  readonly port: number
  readonly target: ConnectionTarget
  /** Starts the agent; it reattaches to what is left of an earlier life. */
  start(): Promise<void>
  /** SIGTERM to the agent; resolves when it and PostgreSQL have ended. */
  stop(): Promise<void>
  /** SIGKILL to the agent, the fencer and PostgreSQL: the loss of the node. */
  kill(): Promise<void>
  /** SIGKILL to the agent alone. */
  killAgent(): Promise<void>
  /** SIGKILL to the postmaster alone. */
  killPostgres(): Promise<void>
  /** SIGKILL to the fencer alone. */
  killFencer(): Promise<void>
  /** Runs another agent with the same options to its end. */
  startSecondAgent(): Promise<{ readonly exitCode: number | null; readonly output: string }>
  /** SIGSTOP and SIGCONT to the agent alone. */
  pauseAgent(): void
  resumeAgent(): void
  /** SIGSTOP and SIGCONT to everything of the node: the frozen machine. */
  freeze(): Promise<void>
  thaw(): Promise<void>
  events(): Promise<readonly Readonly<Record<string, unknown>>[]>
}

export interface WaitOptions {
  readonly timeoutMs?: number
}

export interface TestClusterOptions {
  readonly nodes?: number
  readonly installation?: Installation
  readonly durability?: Durability
  readonly lease?: Partial<LeaseOptions>
  readonly parameters?: Readonly<Record<string, string | number | boolean>>
  /** Per node, by name: whatever differs from the others. */
  readonly overrides?: Readonly<Record<string, Partial<AgentProcessOptions>>>
  /** False: prepare everything, start nobody. */
  readonly start?: boolean
}

const superuser = 'postgres'
const defaultTimeoutMs = 60_000
const agentProgram = fileURLToPath(new URL('agent-process.ts', import.meta.url))

export async function startCluster(options: TestClusterOptions = {}): Promise<TestCluster> {
  const installation = options.installation ?? (await testMajors())[0]
  if (installation === undefined) throw new Error('the tests found no PostgreSQL')
  await using stack = new AsyncDisposableStack()
  const { path: directory } = stack.use(await createTestDirectory())
  stack.defer(async () => void (await killAll(() => processesBelow(directory))))
  const coordinatorFile = join(directory, 'coordinator', 'coordinator.db')
  const coordinator = stack.use(await openEmbeddedCoordinator({ file: coordinatorFile, clock: systemClock }))
  const keys = clusterKeys('test')
  const password = new Secret('superuser secret')
  const nodes: TestNode[] = []
  for (let index = 1; index <= (options.nodes ?? 3); index += 1) {
    nodes.push(await prepareNode(`n${index}`, { directory, installation, coordinatorFile, password, options }))
  }
  const targets = nodes.map((node) => node.target)
  const view = async (): Promise<ClusterView> =>
    (await readCluster(coordinator, keys, AbortSignal.timeout(5000))).cluster

  async function waitUntil(
    what: string,
    condition: (view: ClusterView) => boolean | Promise<boolean>,
    { timeoutMs = defaultTimeoutMs }: WaitOptions = {},
  ): Promise<void> {
    const end = systemClock.monotonic() + timeoutMs
    for (;;) {
      const seen = await view()
      if (await condition(seen)) return
      if (systemClock.monotonic() > end) {
        throw new Error(`${what}: not within ${timeoutMs} ms; ${await describe(seen, nodes)}`)
      }
      await delay(20)
    }
  }

  const cluster: TestCluster = {
    directory,
    nodes,
    targets,
    coordinator,
    keys,
    node: (name) => {
      const found = nodes.find((node) => node.name === name)
      if (found === undefined) throw new Error(`no node ${name}`)
      return found
    },
    view,
    waitUntil,
    waitForPrimary: async ({ except, ...wait } = {}) => {
      let found: TestNode | undefined
      await waitUntil(
        'a primary that takes writes',
        async () => {
          found = await writable(nodes, except)
          return found !== undefined
        },
        wait,
      )
      if (found === undefined) throw new Error('no primary')
      return found
    },
    waitRedundant: async ({ standbys = nodes.length - 1, ...wait } = {}) => {
      let leader: string | undefined
      await waitUntil(
        `${standbys} standbys in the durability set`,
        (seen) => {
          leader = seen.leader.value?.node
          const state = seen.state.value
          const streaming = seen.members.filter((member) => member.state === 'streaming').length
          const set = state?.voters.names.filter((name) => name !== leader).length ?? 0
          const settled =
            state?.promoted === true && state.degraded === null && !state.voters.names.includes(leader ?? '')
          return streaming === standbys && (state?.mode === 'async' || (settled && set === standbys))
        },
        wait,
      )
      return cluster.node(leader ?? '')
    },
    switchover: async (to) => {
      const value = JSON.stringify({
        id: `test-${systemClock.wall()}`,
        from: null,
        to,
        requestedAt: systemClock.wall(),
      })
      await coordinator.transact({ conditions: [], changes: [{ put: keys.switchover, value }] })
    },
    pause: async (because) => {
      const value = JSON.stringify({ since: systemClock.wall(), because })
      await coordinator.transact({ conditions: [], changes: [{ put: keys.pause, value }] })
    },
    resume: async () => {
      await coordinator.transact({ conditions: [], changes: [{ delete: keys.pause }] })
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
  if (options.start !== false) await Promise.all(nodes.map((node) => node.start()))
  const owned = stack.move()
  return cluster
}

async function writable(nodes: readonly TestNode[], except: string | undefined): Promise<TestNode | undefined> {
  const candidates = nodes.filter((node) => node.name !== except)
  try {
    await using sql = await openReadWriteSql(
      candidates.map((node) => node.target),
      { connectTimeoutMs: 1000, statementTimeoutMs: 5000 },
    )
    // Creating a role or a table would do as well: the transaction id proves that it takes writes.
    await sql.query('select pg_current_xact_id()')
    return candidates.find((node) => node.port === sql.target.port)
  } catch {
    return undefined
  }
}

interface NodePreparation {
  readonly directory: string
  readonly installation: Installation
  readonly coordinatorFile: string
  readonly password: Secret
  readonly options: TestClusterOptions
}

async function prepareNode(name: string, preparation: NodePreparation): Promise<TestNode> {
  const { installation, coordinatorFile, password, options } = preparation
  const directory = join(preparation.directory, name)
  await mkdir(directory, { mode: 0o700 })
  const port = await freePort()
  const process_: AgentProcessOptions = {
    cluster: 'test',
    node: name,
    host: '127.0.0.1',
    port,
    listenAddresses: ['127.0.0.1'],
    apiUrl: null,
    dataDirectory: join(directory, 'data'),
    stateDirectory: join(directory, 'state'),
    installation,
    coordinatorFile,
    superuser: { name: superuser, password: password.reveal() },
    replication: { name: 'holdfast_replication', password: 'replication secret' },
    clients: [{ database: 'all', user: 'all', address: '127.0.0.1' }],
    parameters: { shared_buffers: '16MB', max_connections: 50, ...options.parameters },
    durability: options.durability ?? { mode: 'quorum', standbys: 1 },
    lease: { ttlMs: 5000, renewMs: 500, stopAheadMs: 1500, killAheadMs: 500, ...options.lease },
    priority: 100,
    site: null,
    tags: { noFailover: false, noSync: false, noLoadBalance: false },
    agentVersion: 'test',
    ...options.overrides?.[name],
  }
  const optionsFile = join(directory, 'agent.json')
  await writeFile(optionsFile, JSON.stringify(process_), { mode: 0o600 })
  return testNode(process_, directory, optionsFile, password)
}

function testNode(options: AgentProcessOptions, directory: string, optionsFile: string, password: Secret): TestNode {
  let agent: ChildProcess | undefined
  const { dataDirectory, stateDirectory, port, node: name } = options
  const processes = (): Promise<number[]> => processesBelow(directory)
  const signalAgent = (signal: NodeJS.Signals): void => void agent?.kill(signal)
  const agentExit = async (): Promise<void> => {
    const child = agent
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return
    await new Promise((resolve) => void child.once('exit', resolve))
  }
  const signalAll = async (signal: NodeJS.Signals): Promise<void> => {
    for (const pid of await processes()) trySignal(pid, signal)
  }
  return {
    name,
    directory,
    dataDirectory,
    stateDirectory,
    port,
    target: { host: '127.0.0.1', port, user: superuser, password, database: 'postgres' },
    start: async () => {
      await using log = await open(join(directory, 'agent.log'), 'a', 0o600)
      agent = spawn(process.execPath, [agentProgram, optionsFile], {
        cwd: directory,
        env: { PATH: process.env['PATH'], HOME: directory, NODE_NO_WARNINGS: '1' },
        stdio: ['ignore', log.fd, log.fd],
        detached: true,
      })
      await new Promise((resolve, reject) => {
        agent?.once('spawn', resolve)
        agent?.once('error', reject)
      })
      killAtExit(agent, directory)
    },
    stop: async () => {
      signalAgent('SIGTERM')
      await agentExit()
    },
    kill: async () => {
      await killAll(processes)
    },
    killAgent: async () => {
      signalAgent('SIGKILL')
      await agentExit()
    },
    killPostgres: async () => {
      process.kill(await postmasterPid(dataDirectory), 'SIGKILL')
    },
    killFencer: async () => {
      for (const pid of await processes()) {
        const command = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')
        if (command.includes('fencer/main.')) trySignal(pid, 'SIGKILL')
      }
    },
    startSecondAgent: async () => {
      const second = spawn(process.execPath, [agentProgram, optionsFile], { stdio: ['ignore', 'pipe', 'pipe'] })
      let output = ''
      for (const stream of [second.stdout, second.stderr]) stream.on('data', (chunk) => (output += String(chunk)))
      const exitCode = await new Promise<number | null>((resolve) => void second.once('close', resolve))
      return { exitCode, output }
    },
    pauseAgent: () => signalAgent('SIGSTOP'),
    resumeAgent: () => signalAgent('SIGCONT'),
    freeze: () => signalAll('SIGSTOP'),
    thaw: () => signalAll('SIGCONT'),
    events: async () => {
      const text = await readFile(join(stateDirectory, 'events.jsonl'), 'utf8').catch(() => '')
      return text
        .split('\n')
        .filter((line) => line !== '')
        .map((line) => JSON.parse(line) as Record<string, unknown>)
    },
  }
}

/** The last resort when the test process ends without disposing. */
function killAtExit(agent: ChildProcess, directory: string): void {
  const kill = (): void => {
    agent.kill('SIGKILL')
    void directory
  }
  process.once('exit', kill)
  agent.once('exit', () => process.off('exit', kill))
}

function trySignal(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
  }
}

/** What is known when a wait fails: the agreed state and the last lines of every agent. */
async function describe(view: ClusterView, nodes: readonly TestNode[]): Promise<string> {
  const replacer = (_key: string, value: unknown): unknown => (typeof value === 'bigint' ? value.toString(16) : value)
  const logs = await Promise.all(
    nodes.map(async (node) => {
      const text = await readFile(join(node.directory, 'agent.log'), 'utf8').catch(() => '')
      return `--- ${node.name}\n${text.split('\n').slice(-12).join('\n')}`
    }),
  )
  return `${JSON.stringify(view, replacer, 1)}\n${logs.join('\n')}`
}
