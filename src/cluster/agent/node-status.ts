import type { EpochMs } from '../../std/clock.ts'
import type { HistoryEntry, MemberEntry, StateEntry } from '../core/keys.ts'
import type { ClusterStatus, MemberStatus, NodeStatus, ServerState } from '../core/node-status.ts'
import type { ClusterView, ServerView, TaskView } from '../core/view.ts'
import type { AgentContext } from './agent-context.ts'
import type { Observation } from './observe.ts'

const noPositions: NodeStatus['positions'] = {
  written: null,
  received: null,
  replayed: null,
  replayedAt: null,
  replayPaused: false,
  latestEnd: null,
}

/** The node's status at this moment, from what was last observed; the lease is judged now. */
export function nodeStatus(context: AgentContext, last: Observation | null, seenAt: EpochMs | null): NodeStatus {
  const { options, keeper, memory } = context
  const { clock } = options
  const lease = keeper.held
  const server = last?.view.server
  const cluster = last?.view.coordinator.status === 'read' ? last.view.coordinator.cluster : null
  const facts = last?.facts ?? null
  const ready = lease !== null && memory.writableTerm === lease.term && server?.status === 'primary'
  const role = server?.status === 'primary' || server?.status === 'standby' ? server.status : 'unknown'
  const data = last?.view.data
  return {
    cluster: options.cluster,
    node: options.node,
    agentVersion: options.agentVersion,
    now: { wall: clock.wall(), monotonic: clock.monotonic() },
    role,
    state: server === undefined ? 'stopped' : serverState(server, last?.view.task ?? null, memory.crashes.length > 0),
    writableUntil: ready ? lease.deadline : null,
    leaseTtlMs: options.lease.ttlMs,
    lastCycleAt: last?.view.now ?? clock.monotonic(),
    paused: cluster !== null && cluster.pause !== null,
    systemIdentifier: data?.status === 'present' ? BigInt(data.systemIdentifier) : null,
    serverVersionNumber: facts?.versionNumber ?? null,
    postmasterStartedAt: facts === null ? null : (facts.startedAtEpochMs as EpochMs),
    timeline: data?.status === 'present' ? data.lineage.timeline : null,
    positions:
      facts === null
        ? noPositions
        : {
            written: facts.flushLsn,
            received: facts.receiveLsn,
            replayed: facts.replayLsn,
            replayedAt: facts.replayedAtEpochMs === null ? null : (facts.replayedAtEpochMs as EpochMs),
            replayPaused: facts.replayPaused,
            latestEnd: facts.receiver?.latestEnd ?? null,
          },
    replicationState: facts?.receiver?.streaming === true ? 'streaming' : null,
    replication: (facts?.senders ?? []).map((sender) => ({
      user: sender.user,
      applicationName: sender.name,
      clientAddress: sender.address,
      state: sender.state,
      syncState: sender.syncState,
      syncPriority: sender.syncPriority,
    })),
    durability: role === 'standby' ? durabilityOf(options.node, cluster?.state.value ?? null) : null,
    tags: options.tags,
    labels: options.labels ?? {},
    view: cluster === null ? null : clusterStatus(cluster, last?.reading?.history ?? []),
    coordinatorSeenAt: seenAt,
  }
}

function clusterStatus(cluster: ClusterView, history: readonly HistoryEntry[]): ClusterStatus {
  const leader = cluster.leader.value?.node ?? null
  const state = cluster.state.value
  const switchover = cluster.switchover.value
  return {
    members: cluster.members.map((member) => memberStatus(member, leader, state)),
    leader,
    leaderLsn: cluster.members.find((member) => member.node === leader)?.flushLsn ?? null,
    term: state?.term ?? 0,
    history: history.map((entry) => ({
      timeline: entry.timeline,
      switchedAt: entry.startLsn,
      reason: entry.reason,
      at: entry.at,
      newLeader: entry.node,
    })),
    switchover: switchover === null ? null : { from: switchover.from, to: switchover.to, at: switchover.requestedAt },
  }
}

function memberStatus(member: MemberEntry, leader: string | null, state: StateEntry | null): MemberStatus {
  const leads = member.node === leader
  return {
    name: member.node,
    role: leads ? 'leader' : 'standby',
    state: memberState(member.state),
    durability: leads ? null : durabilityOf(member.node, state),
    apiUrl: member.apiUrl ?? '',
    host: member.host,
    port: member.port,
    timeline: member.timeline,
    received: member.flushLsn,
    replayed: member.replayLsn,
    tags: member.tags,
  }
}

function memberState(state: MemberEntry['state']): ServerState {
  switch (state) {
    case 'streaming':
    case 'running':
      return 'running'
    case 'refused':
    case 'stopped':
      return 'stopped'
    case 'unknown':
      return 'crashed'
    case 'starting':
    case 'cloning':
    case 'rewinding':
      return state
    default:
      return state satisfies never
  }
}

function serverState(server: ServerView, task: TaskView | null, crashed: boolean): ServerState {
  if (task?.kind === 'bootstrap') return 'initializing'
  if (task?.kind === 'clone') return 'cloning'
  if (task?.kind === 'rewind') return 'rewinding'
  if (task?.kind === 'promote') return 'promoting'
  if (task?.kind === 'stop' || task?.kind === 'switchover') return 'stopping'
  switch (server.status) {
    case 'primary':
    case 'standby':
      return 'running'
    case 'starting':
      return 'starting'
    case 'silent':
      return 'crashed'
    case 'stopped':
      return server.crashedAt !== null && crashed ? 'crashed' : 'stopped'
    default:
      return server satisfies never
  }
}

function durabilityOf(node: string, state: StateEntry | null): 'sync' | 'quorum' | 'async' | null {
  if (state === null) return null
  const counted = state.mode !== 'async' && state.degraded === null && state.voters.names.includes(node)
  if (!counted || state.leader === node) return 'async'
  return state.voters.needed === 1 ? 'sync' : 'quorum'
}
