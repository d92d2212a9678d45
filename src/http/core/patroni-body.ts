import type { ClusterStatus, MemberStatus, NodeStatus, ServerState } from '../../cluster/core/node-status.ts'
import { formatLsn } from '../../wal/core/lsn.ts'
import type { Lsn } from '../../wal/core/lsn.ts'
import { patroniTags } from './health.ts'

/** JSON, with LSNs and other 64-bit values as plain numbers where Patroni writes numbers. */
export type Json = string | number | boolean | null | readonly Json[] | { readonly [key: string]: Json }

/** The body of `/patroni` and of every health check, under Patroni's field names. */
export function patroniBody(status: NodeStatus): Json {
  const standby = status.role === 'standby'
  return {
    state: patroniState(status.state),
    role: standby ? 'replica' : status.role,
    ...(status.postmasterStartedAt === null ? {} : { postmaster_start_time: timestamp(status.postmasterStartedAt) }),
    ...(status.serverVersionNumber === null ? {} : { server_version: status.serverVersionNumber }),
    xlog: standby ? standbyPositions(status) : { location: position(status.positions.written) },
    ...(status.timeline === null ? {} : { timeline: status.timeline }),
    ...(status.replicationState === null ? {} : { replication_state: status.replicationState }),
    ...(status.replication.length === 0 ? {} : { replication: status.replication.map(replicationRow) }),
    ...(standby && status.durability === 'sync' ? { sync_standby: true } : {}),
    ...(standby && status.durability === 'quorum' ? { quorum_standby: true } : {}),
    ...(status.paused ? { pause: true } : {}),
    ...(status.view === null || status.view.leader === null ? { cluster_unlocked: true } : {}),
    dcs_last_seen: Math.floor((status.coordinatorSeenAt ?? 0) / 1000),
    ...tagsField(patroniTags(status.tags, status.labels)),
    ...(status.systemIdentifier === null ? {} : { database_system_identifier: String(status.systemIdentifier) }),
    patroni: { version: status.agentVersion, scope: status.cluster, name: status.node },
  }
}

/** The body of `/cluster`. Lags are in bytes, `unknown` where a position is not known. */
export function clusterBody(status: NodeStatus): Json {
  const { view } = status
  return {
    members: view === null ? [] : view.members.map((member) => memberRow(member, view)),
    scope: status.cluster,
    ...(status.paused ? { pause: true } : {}),
    ...(view === null || view.switchover === null
      ? {}
      : {
          scheduled_switchover: {
            at: timestamp(view.switchover.at),
            ...(view.switchover.from === null ? {} : { from: view.switchover.from }),
            ...(view.switchover.to === null ? {} : { to: view.switchover.to }),
          },
        }),
  }
}

/** The body of `/history`: `[[timeline, lsn, reason, time, new leader], …]`. */
export function historyBody(status: NodeStatus): Json {
  return (status.view?.history ?? []).map((entry) => [
    entry.timeline,
    Number(entry.switchedAt),
    entry.reason,
    timestamp(entry.at),
    entry.newLeader,
  ])
}

function memberRow(member: MemberStatus, view: ClusterStatus): Json {
  const common = {
    name: member.name,
    role: memberRole(member),
    state: member.role === 'standby' && member.state === 'running' ? 'streaming' : patroniState(member.state),
    api_url: member.apiUrl,
    host: member.host,
    port: member.port,
    ...(member.timeline === null ? {} : { timeline: member.timeline }),
    ...tagsField(patroniTags(member.tags)),
  }
  if (member.role === 'leader') return common
  const behind = (lsn: Lsn | null): Json => {
    if (lsn === null || view.leaderLsn === null) return 'unknown'
    return view.leaderLsn > lsn ? Number(view.leaderLsn - lsn) : 0
  }
  const furthest = maximum(member.received, member.replayed)
  return {
    ...common,
    receive_lsn: lsnText(member.received),
    receive_lag: behind(member.received),
    replay_lsn: lsnText(member.replayed),
    replay_lag: behind(member.replayed),
    lsn: lsnText(furthest),
    lag: behind(furthest),
  }
}

function memberRole(member: MemberStatus): string {
  if (member.role === 'leader') return 'leader'
  if (member.durability === 'sync') return 'sync_standby'
  return member.durability === 'quorum' ? 'quorum_standby' : 'replica'
}

function standbyPositions({ positions }: NodeStatus): Json {
  return {
    received_location: position(positions.received),
    replayed_location: position(positions.replayed),
    replayed_timestamp: positions.replayedAt === null ? null : timestamp(positions.replayedAt),
    paused: positions.replayPaused,
  }
}

function replicationRow(row: NodeStatus['replication'][number]): Json {
  return {
    usename: row.user,
    application_name: row.applicationName,
    client_addr: row.clientAddress,
    state: row.state,
    sync_state: row.syncState,
    sync_priority: row.syncPriority,
  }
}

/** Patroni's words for what a server does. */
const stateWords: Readonly<Record<ServerState, string>> = {
  running: 'running',
  starting: 'starting',
  stopping: 'stopping',
  stopped: 'stopped',
  crashed: 'crashed',
  initializing: 'initializing new cluster',
  cloning: 'creating replica',
  rewinding: 'running pg_rewind',
  promoting: 'running',
}

function patroniState(state: ServerState): string {
  return stateWords[state]
}

function tagsField(tags: Readonly<Record<string, string | boolean>>): { readonly tags?: Json } {
  return Object.keys(tags).length === 0 ? {} : { tags }
}

function position(lsn: Lsn | null): Json {
  return lsn === null ? null : Number(lsn)
}

function lsnText(lsn: Lsn | null): Json {
  return lsn === null ? 'unknown' : formatLsn(lsn)
}

function maximum(a: Lsn | null, b: Lsn | null): Lsn | null {
  if (a === null || b === null) return a ?? b
  return a > b ? a : b
}

function timestamp(ms: number): string {
  return new Date(ms).toISOString()
}
