import type { MemberEntry } from './keys.ts'
import { descendsFrom } from './lineage.ts'
import type { Decision } from './decision.ts'
import type { View } from './view.ts'

const troubleRules = ['HA-003', 'HA-004', 'HA-014', 'HA-025']
/** With less than a segment of the usual size PostgreSQL soon cannot go on. */
const scarceBytes = 16 * 2 ** 20
/** A task that failed is tried again within this time. */
const failureWindowMs = 120_000

/** What this node tells the others about itself. */
export function memberEntry(view: View, decision: Decision): MemberEntry {
  const { self, server, data, memory } = view
  const trouble = decision.because.find((reason) => troubleRules.includes(reason.rule))
  return {
    node: self.node,
    host: self.host,
    port: self.port,
    apiUrl: self.apiUrl,
    role: server.status === 'primary' || server.status === 'standby' ? server.status : 'none',
    state: trouble === undefined ? stateOf(view) : 'refused',
    timeline: timelineOf(view),
    flushLsn: server.status === 'primary' ? server.flushLsn : server.status === 'standby' ? server.endLsn : null,
    replayLsn: server.status === 'standby' ? server.replayLsn : null,
    frozenForTerm: trouble === undefined && mayVote(view) ? memory.frozenForTerm : null,
    eligible: !self.tags.noFailover && !self.leaving && trouble === undefined,
    priority: self.priority,
    site: self.site,
    tags: self.tags,
    systemIdentifier: data.status === 'present' ? data.systemIdentifier : null,
    major: data.status === 'present' ? data.major : null,
    oldestLsn: server.status === 'primary' ? server.oldestLsn : null,
    agentVersion: self.agentVersion,
    trouble: trouble?.text ?? difficulty(view),
  }
}

/** What a person has to see to although this node goes on trying. */
function difficulty({ now, self, server, memory }: View): string | null {
  if (self.freeBytes !== null && self.freeBytes < scarceBytes) {
    return `the file system of the data directory is full: ${Math.floor(self.freeBytes / 1024)} kB left`
  }
  const last = memory.failures.at(-1)
  if (server.status !== 'stopped' || last === undefined || now - last.at > failureWindowMs) return null
  return last.message.replaceAll(/\s*\n\s*/g, ' ')
}

/** True when an entry tells others something they may act on; a position that merely moved can wait. */
export function differsInSubstance(a: MemberEntry, b: MemberEntry): boolean {
  const still = (entry: MemberEntry): object => ({ ...entry, flushLsn: null, replayLsn: null, oldestLsn: null })
  if (JSON.stringify(still(a)) !== JSON.stringify(still(b))) return true
  return a.frozenForTerm !== null && a.flushLsn !== b.flushLsn
}

function stateOf(view: View): MemberEntry['state'] {
  const { task, server } = view
  if (task?.kind === 'clone' || task?.kind === 'bootstrap') return 'cloning'
  if (task?.kind === 'rewind') return 'rewinding'
  switch (server.status) {
    case 'stopped':
      return 'stopped'
    case 'starting':
      return 'starting'
    case 'silent':
      return 'unknown'
    case 'primary':
      return 'running'
    case 'standby':
      return server.receiving ? 'streaming' : 'running'
    default:
      return server satisfies never
  }
}

function timelineOf({ server, data }: View): MemberEntry['timeline'] {
  if (server.status === 'primary' || server.status === 'standby') return server.lineage.timeline
  return data.status === 'present' ? data.lineage.timeline : null
}

/** Only data that descends from the last known timeline counts in an election (L3). */
function mayVote({ server, coordinator }: View): boolean {
  if (server.status !== 'standby' || coordinator.status !== 'read') return false
  const state = coordinator.cluster.state.value
  return state !== null && descendsFrom(server.lineage, state.lineage.timeline)
}
