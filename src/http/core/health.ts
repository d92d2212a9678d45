import type { NodeStatus } from '../../cluster/core/node-status.ts'
import type { Lsn } from '../../wal/core/lsn.ts'

/**
 * The status code of a health check, with the paths and semantics of Patroni's REST API (reference/ha.md §1.3, after
 * `patroni/api.py`), so that load balancer configurations written for Patroni work unchanged. Roles are matched as
 * substrings of the path, first match wins; whatever matches nothing is 503, never 404.
 */
export function healthStatusCode(path: string, query: HealthQuery, status: NodeStatus): 200 | 502 | 503 {
  switch (firstSegment(path)) {
    case 'patroni':
    case 'cluster':
    case 'history':
      return 200
    case 'liveness':
      return code(alive(status))
    case 'readiness':
      return code(ready(query, status))
    // Patroni's dynamic configuration and failsafe mode do not exist here: it answers the same when it has neither.
    case 'config':
    case 'failsafe':
      return 502
    default:
      return code(answersFor(path === '/' ? '/primary' : path, query, status))
  }
}

/** The first value of each query parameter. */
export type HealthQuery = Readonly<Record<string, string>>

/** Up to which lag `/readiness` calls a standby ready when the request does not say. */
const defaultReadinessLagBytes = 1024n * 1024n

function answersFor(path: string, query: HealthQuery, status: NodeStatus): boolean {
  const has = (...parts: readonly string[]): boolean => parts.some((part) => path.includes(part))
  // There are no standby clusters yet, so no node is a standby leader.
  if (has('standby_leader', 'standby-leader')) return false
  if (has('leader')) return isLeader(status)
  if (has('master', 'primary', 'read-write')) return isPrimary(status)
  return matchesRole(path, has, query, status) && tagsMatch(query, status)
}

function matchesRole(
  path: string,
  has: (...parts: readonly string[]) => boolean,
  query: HealthQuery,
  status: NodeStatus,
): boolean {
  if (has('replica')) return isReplica(query, status)
  if (has('read-only') && !has('sync', 'quorum')) return isPrimary(status) || isReplica(query, status)
  if (has('health')) return status.state === 'running'
  if (status.view === null) return false
  const counted = (durability: NodeStatus['durability']): boolean =>
    isReplica(query, status) && (status.durability ?? 'async') === durability
  switch (path) {
    case '/sync':
    case '/synchronous':
      return counted('sync')
    case '/quorum':
      return counted('quorum')
    case '/async':
    case '/asynchronous':
      return counted('async')
    case '/read-only-quorum':
      return isPrimary(status) || counted('quorum')
    case '/read-only-sync':
    case '/read-only-synchronous':
      return isPrimary(status) || counted('sync')
    default:
      return false
  }
}

/** Holds its lease at this moment and has committed its term: only then may clients write here. */
export function isLeader(status: NodeStatus): boolean {
  return status.writableUntil !== null && status.now.monotonic < status.writableUntil
}

function isPrimary(status: NodeStatus): boolean {
  if (status.view === null && status.paused) return status.role === 'primary'
  return isLeader(status)
}

function isReplica(query: HealthQuery, status: NodeStatus): boolean {
  if (status.role !== 'standby' || status.state !== 'running' || status.tags.noLoadBalance) return false
  const wanted = query['replication_state']
  if (wanted !== undefined && wanted !== status.replicationState) return false
  const limit = parseLag(query['lag'])
  const lag = lagBytes(status, status.positions.replayed)
  return limit === undefined || lag === undefined || lag <= limit
}

/** The agent's loop turns: a hung agent is restarted by its supervisor, a standby's later than a primary's. */
function alive(status: NodeStatus): boolean {
  if (status.paused) return true
  const patience = status.leaseTtlMs * (status.role === 'primary' ? 1 : 2)
  return status.lastCycleAt + patience > status.now.monotonic
}

function ready(query: HealthQuery, status: NodeStatus): boolean {
  if (isLeader(status)) return true
  if (status.state !== 'running' || status.replicationState !== 'streaming') return false
  const position = query['mode'] === 'write' ? status.positions.received : status.positions.replayed
  const lag = lagBytes(status, position)
  return lag !== undefined && lag <= (parseLag(query['lag']) ?? defaultReadinessLagBytes)
}

/** Distance to the furthest end of WAL that this node has heard of; undefined when it has heard of none. */
function lagBytes(status: NodeStatus, position: Lsn | null): bigint | undefined {
  const ends = [status.view?.leaderLsn ?? null, status.positions.latestEnd].filter((lsn) => lsn !== null)
  if (ends.length === 0) return undefined
  const end = ends.reduce((a, b) => (a > b ? a : b))
  const lag = end - (position ?? 0n)
  return lag > 0n ? lag : 0n
}

/** Bytes, or PostgreSQL's `16kB`, `64MB`, `1GB`; what cannot be read is ignored, as Patroni does. */
function parseLag(text: string | undefined): bigint | undefined {
  const match = /^\s*(\d{1,18})\s*(B|kB|MB|GB|TB)?\s*$/.exec(text ?? '')
  if (match === null) return undefined
  const power = ['B', 'kB', 'MB', 'GB', 'TB'].indexOf(match[2] ?? 'B')
  return BigInt(match[1] ?? 0) * 1024n ** BigInt(power)
}

function tagsMatch(query: HealthQuery, status: NodeStatus): boolean {
  const tags = patroniTags(status.tags, status.labels)
  return Object.entries(query).every(([key, value]) => {
    if (!key.startsWith('tag_')) return true
    const tag = tags[key.slice('tag_'.length)]
    return tag !== undefined && (typeof tag === 'string' ? tag : String(tag).toLowerCase()) === value
  })
}

/** Tags under Patroni's names; only those that are set, as Patroni shows them. */
export function patroniTags(
  tags: NodeStatus['tags'],
  labels: Readonly<Record<string, string>> = {},
): Readonly<Record<string, string | boolean>> {
  return {
    ...labels,
    ...(tags.noFailover ? { nofailover: true } : {}),
    ...(tags.noSync ? { nosync: true } : {}),
    ...(tags.noLoadBalance ? { noloadbalance: true } : {}),
  }
}

export function firstSegment(path: string): string {
  return path.replace(/^\/+/, '').split('/')[0] ?? ''
}

function code(holds: boolean): 200 | 503 {
  return holds ? 200 : 503
}
