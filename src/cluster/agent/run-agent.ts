import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { readControlFile } from '../../postgres/control-file.ts'
import { Fault, isFault } from '../../std/fault.ts'
import { stdFaults } from '../../std/faults.ts'
import { withProcessLock } from '../../std/process-lock.ts'
import { clusterKeys } from '../core/keys.ts'
import type { NodeStatus } from '../core/node-status.ts'
import { clusterFaults } from '../faults.ts'
import type { FencerEvent } from '../fencer/core/protocol.ts'
import type { AgentContext } from './agent-context.ts'
import { AgentLoop } from './agent-loop.ts'
import { AgentMemory } from './agent-memory.ts'
import type { AgentOptions } from './agent-options.ts'
import { openEventLog } from './event-log.ts'
import { openFencerHolder } from './fencer-holder.ts'
import { LeaseKeeper } from './lease-keeper.ts'
import { localTarget } from './local-target.ts'
import { readCluster } from './read-cluster.ts'
import { openRingFile } from './ring-file.ts'
import { ConfigurationWriter, socketDirectory } from './server-configuration.ts'
import { ServerFactsReader } from './server-facts.ts'
import { SyncProver } from './sync-prover.ts'
import { openUnbornNote } from './unborn-note.ts'
import { createWakeup } from './wakeup.ts'

/** What the program's other parts may ask a running agent. */
export interface Agent {
  status(): NodeStatus
  /** The member's name in the coordinator and the keys it writes, for those who want to ask for something there. */
  readonly options: AgentOptions
}

export interface RunAgentOptions {
  /** Aborting it ends the agent in good order: PostgreSQL is stopped cleanly and the lease given to whoever is left. */
  readonly signal: AbortSignal
  /** Called once, when the agent can answer. */
  readonly onReady?: ((agent: Agent) => void) | undefined
}

const lockPatienceMs = 2000
const defaultSegmentBytes = 16 * 2 ** 20

/**
 * Runs the agent of one node until the signal aborts, and resolves when PostgreSQL and the fencer have ended. When the
 * process dies instead, the fencer keeps PostgreSQL running until the end of its lease, and the next agent reattaches.
 */
export async function runAgent(options: AgentOptions, run: RunAgentOptions): Promise<void> {
  await mkdir(socketDirectory(options), { recursive: true, mode: 0o700 })
  const lock = join(options.stateDirectory, 'agent.lock')
  try {
    await withProcessLock(lock, { clock: options.clock, deadlineMs: lockPatienceMs, signal: run.signal }, () =>
      runLocked(options, run),
    )
  } catch (error) {
    if (!isFault(error, stdFaults['deadline-passed']) || !error.message.includes(lock)) throw error
    throw new Fault(
      clusterFaults['cluster-agent-running'],
      `Cannot start the agent of ${options.node}: another one runs for ${options.stateDirectory}`,
      { cause: error },
    )
  }
}

async function runLocked(options: AgentOptions, run: RunAgentOptions): Promise<void> {
  const { stateDirectory, clock, log, node, lease } = options
  await using stack = new AsyncDisposableStack()
  const wakeup = createWakeup(clock)
  const wake = (): void => wakeup.wake()
  const onError = (error: unknown): void => log.warn('a record could not be written', { error })
  const events = stack.use(await openEventLog(join(stateDirectory, 'events.jsonl'), { node, clock, onError }))
  const ring = await openRingFile(join(stateDirectory, 'ring'), onError)
  stack.defer(() => ring.flush())
  const unborn = await openUnbornNote(stateDirectory)
  const memory = new AgentMemory()
  const configuration = new ConfigurationWriter(options)
  const ending = new AbortController()
  const holder = stack.use(
    await openFencerHolder(options, {
      onEvent: (event) => onFencerEvent(event),
      onReplaced: () => {
        memory.forgetServer()
        events.note('fencer-replaced')
        void keeper.rearm().then(wake, wake)
      },
    }),
  )
  const keeper = new LeaseKeeper({
    coordinator: options.coordinator,
    clock,
    ttlMs: lease.ttlMs,
    renewMs: lease.renewMs,
    log,
    fencer: () => holder.current,
    onChange: () => wakeup.wake(),
    signal: ending.signal,
  })
  const prover = new SyncProver({
    target: localTarget(options),
    node,
    clock,
    log,
    memory,
    configuration,
    onProven: (sync, term) =>
      events.note('durability-proven', { term, count: sync.count, names: sync.names.join(',') }),
    wake,
  })
  let walSegmentBytes = options.walSegmentBytes ?? defaultSegmentBytes
  const context: AgentContext = {
    options,
    keys: clusterKeys(options.cluster),
    memory,
    keeper,
    configuration,
    facts: new ServerFactsReader(localTarget(options), clock),
    prover,
    events,
    fencer: () => holder.current,
    unborn: () => unborn.value,
    setUnborn: (value) => unborn.set(value),
    walSegmentBytes: () => walSegmentBytes,
    learnDataDirectory: async () => {
      const control = await readControlFile(options.dataDirectory).catch(() => undefined)
      walSegmentBytes = control?.walSegmentBytes ?? walSegmentBytes
    },
    wake,
    answered: false,
    stopping: false,
  }
  const loop = new AgentLoop(context, ring, wakeup)
  await context.learnDataDirectory()
  await adoptLeadership(context)
  events.note('agent-started', { version: options.agentVersion })
  const renewing = keeper.run()
  stack.defer(async () => {
    ending.abort()
    await renewing
  })
  run.onReady?.({ status: () => loop.status(), options })
  await loop.run(run.signal)

  function onFencerEvent(event: FencerEvent): void {
    if (event.type === 'exited') {
      const unexpected = !context.stopping && !event.fenced
      events.note('postgres-exited', { pid: event.pid, code: event.code, signal: event.signal, unexpected })
      if (unexpected && loop.ranAsPrimary) memory.noteCrash(clock.monotonic())
      if (!loop.starting) memory.forgetServer()
      context.answered = false
    } else if (event.type !== 'started') {
      events.note(`fencer-${event.type}`, { term: event.term, deadlineMs: event.deadline })
    }
    wakeup.wake()
  }
}

/** Goes on with the lease that an earlier life of this agent held, if it is still there and the fencer agrees. */
async function adoptLeadership(context: AgentContext): Promise<void> {
  const { options, keys, keeper, events } = context
  try {
    const { cluster, leaderLease } = await readCluster(options.coordinator, keys, AbortSignal.timeout(2000))
    const leader = cluster.leader.value
    if (leader?.node !== options.node || leaderLease === null) return
    const adopted = await keeper.adopt(leaderLease, leader.term)
    events.note('leadership-adopted', { term: leader.term, adopted })
  } catch (error) {
    options.log.warn('the leadership of an earlier life could not be looked for', { error })
  }
}
