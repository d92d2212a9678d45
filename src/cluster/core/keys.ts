import type { EpochMs } from '../../std/clock.ts'
import type { Lsn, TimelineId } from '../../wal/core/lsn.ts'
import { durabilityModes } from './durability.ts'
import type { DurabilityMode } from './durability.ts'
import { readJson, toJson } from './json-reader.ts'
import type { JsonReader } from './json-reader.ts'
import type { Lineage } from './lineage.ts'
import type { Voters } from './sync-set.ts'

/**
 * What the nodes of a cluster agree on, and the keys it stands under in the coordinator. Values are strict JSON: what
 * cannot be read stops decisions instead of being guessed.
 */
export interface ClusterKeys {
  readonly prefix: string
  readonly initialize: string
  readonly leader: string
  readonly state: string
  readonly members: string
  readonly switchover: string
  readonly pause: string
  readonly history: string
}

export function clusterKeys(cluster: string): ClusterKeys {
  const prefix = `/holdfast/${cluster}/`
  return {
    prefix,
    initialize: `${prefix}initialize`,
    leader: `${prefix}leader`,
    state: `${prefix}state`,
    members: `${prefix}members/`,
    switchover: `${prefix}control/switchover`,
    pause: `${prefix}control/pause`,
    history: `${prefix}history/`,
  }
}

export function memberKey(keys: ClusterKeys, node: string): string {
  return `${keys.members}${node}`
}

export function historyKey(keys: ClusterKeys, term: number): string {
  return `${keys.history}${String(term).padStart(12, '0')}`
}

/** Who founds the cluster: claimed under the founder's lease, final (no lease any more) with the first leadership. */
export interface InitializeEntry {
  readonly node: string
  /** Null while the founder is still at work. */
  readonly systemIdentifier: string | null
}

/** Under the leader's lease: gone when the lease is. */
export interface LeaderEntry {
  readonly node: string
  readonly term: number
}

/** Outlives leaders. Written only by the holder of the lease, on condition that it has not changed meanwhile. */
export interface StateEntry {
  readonly term: number
  readonly leader: string
  /** True when the leader of this term is a primary and `lineage` is its own. */
  readonly promoted: boolean
  /** The last known lineage of the cluster: whoever is promoted next must descend from it (L3). */
  readonly lineage: Lineage
  /** The highest timeline any term has reserved; never used again, even if that term never used it. */
  readonly reservedTimeline: TimelineId
  readonly mode: DurabilityMode
  readonly voters: Voters
  /** Set while commits wait for nobody although the mode is `quorum` (L8). */
  readonly degraded: { readonly at: EpochMs; readonly lsn: Lsn; readonly because: string } | null
  /** Who should take over after a planned release of the lease. */
  readonly preferred: string | null
}

export const memberRoles = ['primary', 'standby', 'none'] as const
export const memberStates = [
  'running',
  'streaming',
  'starting',
  'stopped',
  'cloning',
  'rewinding',
  'refused',
  'unknown',
] as const

/** What a node says about itself, under its own lease. */
export interface MemberEntry {
  readonly node: string
  readonly host: string
  readonly port: number
  readonly apiUrl: string | null
  readonly role: (typeof memberRoles)[number]
  readonly state: (typeof memberStates)[number]
  readonly timeline: TimelineId | null
  /** End of the WAL that is on this node's disk; of a primary what it has flushed. */
  readonly flushLsn: Lsn | null
  readonly replayLsn: Lsn | null
  /** This standby receives nothing any more since it saw the end of this term's lease: its vote, until a newer term. */
  readonly frozenForTerm: number | null
  /** Whether it may become the leader at all. */
  readonly eligible: boolean
  readonly priority: number
  readonly site: string | null
  readonly tags: MemberTags
  readonly systemIdentifier: string | null
  readonly major: number | null
  /** The oldest WAL this node can still send; a standby behind it has to be cloned again. */
  readonly oldestLsn: Lsn | null
  readonly agentVersion: string
  /** Why it cannot take part, in one sentence for people; null when all is well. */
  readonly trouble: string | null
}

export interface MemberTags {
  /** Never becomes the leader. */
  readonly noFailover: boolean
  /** Commits never wait for it, so it has no vote either. */
  readonly noSync: boolean
  /** Load balancers send no reads to it. */
  readonly noLoadBalance: boolean
}

export interface SwitchoverEntry {
  readonly id: string
  /** Null: whoever leads. */
  readonly from: string | null
  /** Null: the best standby. */
  readonly to: string | null
  readonly requestedAt: EpochMs
}

export interface PauseEntry {
  readonly since: EpochMs
  readonly because: string
}

/** One leadership, kept for `holdfast history` and for measuring. */
export interface HistoryEntry {
  readonly term: number
  readonly node: string
  readonly timeline: TimelineId
  readonly startLsn: Lsn
  readonly reason: string
  readonly at: EpochMs
}

export const encodeEntry: (entry: object) => string = toJson

export function decodeInitialize(json: string): InitializeEntry {
  const read = readJson('initialize', json)
  return { node: read.text('node'), systemIdentifier: read.textOrNull('systemIdentifier') }
}

export function decodeLeader(json: string): LeaderEntry {
  const read = readJson('leader', json)
  return { node: read.text('node'), term: read.wholeNumber('term') }
}

export function decodeState(json: string): StateEntry {
  const read = readJson('state', json)
  const voters = read.object('voters')
  const degraded = read.objectOrNull('degraded')
  return {
    term: read.wholeNumber('term'),
    leader: read.text('leader'),
    promoted: read.flag('promoted'),
    lineage: decodeLineage(read.object('lineage')),
    reservedTimeline: read.timeline('reservedTimeline'),
    mode: read.oneOf('mode', durabilityModes),
    voters: { names: voters.texts('names'), needed: voters.wholeNumber('needed') },
    degraded: degraded && {
      at: degraded.number('at') as EpochMs,
      lsn: degraded.lsn('lsn'),
      because: degraded.text('because'),
    },
    preferred: read.textOrNull('preferred'),
  }
}

function decodeLineage(read: JsonReader): Lineage {
  return {
    timeline: read.timeline('timeline'),
    left: read.objects('left').map((step) => ({ timeline: step.timeline('timeline'), at: step.lsn('at') })),
  }
}

export function decodeMember(json: string): MemberEntry {
  const read = readJson('member', json)
  return {
    node: read.text('node'),
    host: read.text('host'),
    port: read.wholeNumber('port'),
    apiUrl: read.textOrNull('apiUrl'),
    role: read.oneOf('role', memberRoles),
    state: read.oneOf('state', memberStates),
    timeline: read.timelineOrNull('timeline'),
    flushLsn: read.lsnOrNull('flushLsn'),
    replayLsn: read.lsnOrNull('replayLsn'),
    frozenForTerm: read.numberOrNull('frozenForTerm'),
    eligible: read.flag('eligible'),
    priority: read.number('priority'),
    site: read.textOrNull('site'),
    tags: decodeTags(read.object('tags')),
    systemIdentifier: read.textOrNull('systemIdentifier'),
    major: read.numberOrNull('major'),
    oldestLsn: read.lsnOrNull('oldestLsn'),
    agentVersion: read.text('agentVersion'),
    trouble: read.textOrNull('trouble'),
  }
}

function decodeTags(read: JsonReader): MemberTags {
  return { noFailover: read.flag('noFailover'), noSync: read.flag('noSync'), noLoadBalance: read.flag('noLoadBalance') }
}

export function decodeSwitchover(json: string): SwitchoverEntry {
  const read = readJson('switchover', json)
  return {
    id: read.text('id'),
    from: read.textOrNull('from'),
    to: read.textOrNull('to'),
    requestedAt: read.number('requestedAt') as EpochMs,
  }
}

export function decodePause(json: string): PauseEntry {
  const read = readJson('pause', json)
  return { since: read.number('since') as EpochMs, because: read.text('because') }
}

export function decodeHistory(json: string): HistoryEntry {
  const read = readJson('history', json)
  return {
    term: read.wholeNumber('term'),
    node: read.text('node'),
    timeline: read.timeline('timeline'),
    startLsn: read.lsn('startLsn'),
    reason: read.text('reason'),
    at: read.number('at') as EpochMs,
  }
}
