import { statfs } from 'node:fs/promises'
import { withDeadline } from '../../std/deadline.ts'
import type { MonotonicMs } from '../../std/clock.ts'
import type { Lsn, TimelineId } from '../../wal/core/lsn.ts'
import type { FencerClient } from '../fencer/fencer-client.ts'
import { parseSyncNames } from '../core/sync-names.ts'
import { nobody } from '../core/sync-set.ts'
import type { SyncSet } from '../core/sync-set.ts'
import { MalformedValue } from '../core/json-reader.ts'
import type {
  CoordinatorView,
  DataView,
  PrimaryView,
  SelfView,
  ServerView,
  StandbyView,
  TaskView,
  View,
} from '../core/view.ts'
import type { AgentContext } from './agent-context.ts'
import { newestTimeline, oldestWal, readData, readLineage, timelineOfEnd } from './data-files.ts'
import { readCluster } from './read-cluster.ts'
import type { ClusterReading } from './read-cluster.ts'
import type { FactsAnswer, ServerFacts } from './server-facts.ts'

/** One look at everything, with a deadline on each part. */
export interface Observation {
  readonly view: View
  readonly facts: ServerFacts | null
  readonly reading: ClusterReading | null
}

const coordinatorDeadlineMs = 1000

export async function observe(context: AgentContext, task: TaskView | null, leaving: boolean): Promise<Observation> {
  const { options, memory, keeper, fencer } = context
  const [coordinator, server] = await Promise.all([observeCoordinator(context), observeServer(context, fencer())])
  const data =
    server.facts === null
      ? await readData(options.dataDirectory, { unborn: context.unborn(), lastFlushLsn: memory.lastFlushLsn })
      : await dataOfRunning(server.facts, server.view, context)
  const now = options.clock.monotonic()
  remember(context, coordinator.view, server.view, now)
  return {
    view: {
      now,
      wall: options.clock.wall(),
      self: selfView(context, leaving, await freeBytesAt(options.dataDirectory)),
      coordinator: coordinator.view,
      lease: keeper.held,
      data,
      server: server.view,
      task,
      memory: memory.view(),
    },
    facts: server.facts,
    reading: coordinator.reading,
  }
}

/** What PostgreSQL may still write there. */
async function freeBytesAt(dataDirectory: string): Promise<number | null> {
  const found = await statfs(dataDirectory).catch(() => undefined)
  return found === undefined ? null : found.bavail * found.bsize
}

function selfView({ options }: AgentContext, leaving: boolean, freeBytes: number | null): SelfView {
  return {
    node: options.node,
    host: options.host,
    port: options.port,
    apiUrl: options.apiUrl,
    priority: options.priority,
    site: options.site,
    tags: options.tags,
    agentVersion: options.agentVersion,
    durability: options.durability,
    major: options.installation.major,
    canRewind: options.installation.tools.pgRewind !== undefined,
    ttlMs: options.lease.ttlMs,
    leaving,
    freeBytes,
  }
}

async function observeCoordinator({
  options,
  keys,
  memory,
}: AgentContext): Promise<{ readonly view: CoordinatorView; readonly reading: ClusterReading | null }> {
  try {
    const reading = await withDeadline('read the coordinator', coordinatorDeadlineMs, undefined, (signal) =>
      readCluster(options.coordinator, keys, signal),
    )
    memory.coordinatorFailingSince = null
    return { view: { status: 'read', cluster: reading.cluster }, reading }
  } catch (error) {
    const because = error instanceof Error ? error.message : String(error)
    if (error instanceof MalformedValue) return { view: { status: 'malformed', because }, reading: null }
    memory.coordinatorFailingSince ??= options.clock.monotonic()
    return { view: { status: 'unreachable', since: memory.coordinatorFailingSince, because }, reading: null }
  }
}

interface ServerObservation {
  readonly view: ServerView
  readonly facts: ServerFacts | null
}

async function observeServer(context: AgentContext, fencer: FencerClient): Promise<ServerObservation> {
  const { memory, options } = context
  const { postgres } = fencer.state
  const now = options.clock.monotonic()
  switch (postgres.status) {
    case 'none':
      return { view: { status: 'stopped', crashedAt: null }, facts: null }
    case 'exited':
      return { view: { status: 'stopped', crashedAt: postgres.at }, facts: null }
    case 'starting':
    case 'ending':
      return { view: { status: 'starting', since: now }, facts: null }
    case 'running': {
      const answer = await context.facts.read()
      return {
        view: await interpret(answer, postgres.startedAt, now),
        facts: answer.kind === 'facts' ? answer.facts : null,
      }
    }
    default:
      return postgres satisfies never
  }

  async function interpret(answer: FactsAnswer, startedAt: MonotonicMs, at: MonotonicMs): Promise<ServerView> {
    if (answer.kind === 'facts') {
      memory.silentSince = null
      context.answered = true
      return answer.facts.recovery ? await standbyView(context, answer.facts) : await primaryView(context, answer.facts)
    }
    if (answer.kind === 'unready' && !context.answered) return { status: 'starting', since: startedAt }
    memory.silentSince ??= at
    return {
      status: context.answered ? 'silent' : 'starting',
      since: context.answered ? memory.silentSince : startedAt,
    }
  }
}

async function primaryView(context: AgentContext, facts: ServerFacts): Promise<PrimaryView> {
  const { options, memory } = context
  const flushLsn = facts.flushLsn ?? (0n as Lsn)
  memory.lastFlushLsn = flushLsn
  memory.syncInForce ??= inForceOf(facts)
  return {
    status: 'primary',
    lineage: await readLineage(options.dataDirectory, facts.timeline as TimelineId),
    flushLsn,
    oldestLsn: await oldestWal(options.dataDirectory, context.walSegmentBytes()),
    senders: facts.senders.map((sender) => ({
      name: sender.name,
      streaming: sender.state === 'streaming',
      flushLsn: sender.flushLsn,
    })),
    slots: facts.slots,
  }
}

/**
 * What may be in force at a server that an earlier life of this agent has configured. Whether the server has already
 * begun to wait for standbys is not known, so that nobody counts as well until it is proven.
 */
function inForceOf(facts: ServerFacts): readonly SyncSet[] {
  const shown = parseSyncNames(facts.syncNames)
  return shown === undefined || shown.count === 0 ? [nobody] : [nobody, shown]
}

async function standbyView({ options, walSegmentBytes }: AgentContext, facts: ServerFacts): Promise<StandbyView> {
  const endLsn = endOfWal(facts)
  const timelines = [facts.timeline, facts.receiver?.timeline ?? 0]
  // While it receives the receiver knows the timeline; afterwards only the name of the last segment does.
  if (facts.receiver === null && endLsn !== null) {
    timelines.push(await timelineOfEnd(options.dataDirectory, endLsn, walSegmentBytes()))
  }
  return {
    status: 'standby',
    lineage: await readLineage(options.dataDirectory, Math.max(...timelines) as TimelineId),
    endLsn,
    replayLsn: facts.replayLsn,
    receiving: facts.receiver !== null,
    upstream: upstreamOf(facts.primaryConninfo),
    slots: facts.slots,
  }
}

/**
 * Where the durable WAL of a standby ends. The receiver reports what it has flushed. A server that has not received
 * since its start holds what it finds in `pg_wal`, and has replayed all of it only when it waits for more.
 */
function endOfWal(facts: ServerFacts): Lsn | null {
  const { receiveLsn, replayLsn, startupWait } = facts
  if (replayLsn === null) return null
  if (receiveLsn !== null) return receiveLsn > replayLsn ? receiveLsn : replayLsn
  const waits = startupWait === 'RecoveryRetrieveRetryInterval' || startupWait === 'RecoveryWalStream'
  return waits ? replayLsn : null
}

function upstreamOf(conninfo: string): string | null {
  const host = /\bhost='?([^' ]+)/.exec(conninfo)?.[1]
  const port = /\bport='?(\d+)/.exec(conninfo)?.[1]
  return host === undefined || port === undefined ? null : `${host}:${port}`
}

/** Of a running server the answers say more than its files. */
async function dataOfRunning(facts: ServerFacts, server: ServerView, context: AgentContext): Promise<DataView> {
  const running = server.status === 'primary' || server.status === 'standby' ? server : undefined
  const lineage = running?.lineage ?? { timeline: facts.timeline as TimelineId, left: [] }
  return {
    status: 'present',
    systemIdentifier: facts.systemIdentifier,
    major: Math.floor(facts.versionNumber / 10_000),
    lineage,
    newestTimeline: await newestTimeline(context.options.dataDirectory, lineage.timeline, context.walSegmentBytes()),
    standbySignal: facts.recovery,
    clean: false,
    recoveryBytes: 0,
    incomplete: false,
    reached: facts.flushLsn ?? facts.replayLsn ?? (0n as Lsn),
    unborn: context.unborn() === facts.systemIdentifier,
  }
}

/** What has to be known over time: since when something is so. */
function remember(context: AgentContext, coordinator: CoordinatorView, server: ServerView, now: MonotonicMs): void {
  const { memory } = context
  if (coordinator.status === 'read') {
    const absent = coordinator.cluster.leader.value === null
    memory.leaderAbsentSince = absent ? (memory.leaderAbsentSince ?? now) : null
    // Only another leader ends the yielding: this look may have begun before this node gave up its lease.
    if (!absent && coordinator.cluster.leader.value?.node !== context.options.node) memory.yieldUntil = null
  }
  if (server.status === 'standby') {
    const cutOff = !server.receiving && server.upstream === null && server.endLsn !== null
    memory.frozenForTerm = cutOff ? memory.freezingForTerm : null
    const waiting = server.upstream !== null && !server.receiving
    memory.notReceivingSince = waiting ? (memory.notReceivingSince ?? now) : null
  }
  if (server.status === 'primary') rememberFollowers(context, server, now)
}

function rememberFollowers({ memory, options }: AgentContext, server: PrimaryView, now: MonotonicMs): void {
  const expected = new Set([...memory.followers.keys(), ...(memory.syncInForce ?? []).flatMap((sync) => sync.names)])
  for (const sender of server.senders) if (!sender.name.startsWith('holdfast ')) expected.add(sender.name)
  expected.delete(options.node)
  for (const name of expected) {
    const sender = server.senders.find((candidate) => candidate.name === name && candidate.streaming)
    const before = memory.followers.get(name)
    if (sender === undefined) {
      if (before === undefined || before.caughtUp || before.goal !== null) {
        memory.followers.set(name, { caughtUp: false, since: now, goal: null })
      }
      continue
    }
    const goal = before?.goal ?? server.flushLsn
    const caughtUp = before?.caughtUp === true || (sender.flushLsn !== null && sender.flushLsn >= goal)
    const changed = before === undefined || before.caughtUp !== caughtUp
    memory.followers.set(name, { caughtUp, since: changed ? now : before.since, goal })
  }
}
