import type { Lsn } from '../../../wal/core/lsn.ts'
import { assumedHandOverMs, forecastRestartMs } from '../forecast.ts'
import { ago, propose, recentFailures, soonMs } from '../proposal.ts'
import type { FoundedView, Proposal } from '../proposal.ts'
import { firstCommit } from './first-commit.ts'

const crashLimit = 3
const crashWindowMs = 120_000
const silentLimitMs = 10_000
/** How much longer than forecast a start may take before a standby takes over instead. */
const startingGraceMs = 3000
/** How long this node leaves the lease to the others after it has given it up. */
export const yieldMs = 5000

/** This node leads and its server is not there: restart it, or hand over, whichever is forecast to be sooner. */
export function serverDown(view: FoundedView): Proposal {
  const { data } = view
  if (data.status !== 'present') return handOver('HA-062', 'its data is gone')
  const crashes = view.memory.crashes.filter((at) => ago(view, at) < crashWindowMs).length
  const heir = heirOf(view)
  const failures = recentFailures(view, 'start', crashWindowMs)
  if (heir !== null && (crashes >= crashLimit || failures >= 2)) {
    return handOver('HA-062', `${crashes} crashes and ${failures} failed starts lately; ${heir} can take over`)
  }
  const restartMs = forecastRestartMs(data.clean ? 0 : data.recoveryBytes)
  if (data.standbySignal) return start(view, 'standby', 'it has to be promoted')
  if (heir !== null && view.state.promoted && assumedHandOverMs < restartMs) {
    return handOver('HA-060', `restart forecast ${restartMs} ms, hand-over to ${heir} ${assumedHandOverMs} ms`)
  }
  const others = heir === null ? 'nobody can take over' : `hand-over to ${heir} ${assumedHandOverMs} ms`
  return start(view, 'primary', `restart forecast ${restartMs} ms, ${others}`)
}

/** This node leads and its server runs but does not answer. */
export function serverMute(view: FoundedView): Proposal {
  const { server } = view
  const since = server.status === 'starting' || server.status === 'silent' ? server.since : view.now
  const limit = server.status === 'starting' ? startingLimitMs(view) : silentLimitMs
  const heir = heirOf(view)
  if (heir === null || ago(view, since) < limit) return propose('HA-064', `PostgreSQL is ${server.status}`, [], soonMs)
  return propose('HA-063', `PostgreSQL is ${server.status}; ${heir} can take over`, [
    { command: 'hand-over', because: `PostgreSQL is ${server.status}`, yieldMs },
  ])
}

function startingLimitMs({ data }: FoundedView): number {
  return startingGraceMs + (data.status === 'present' && !data.clean ? forecastRestartMs(data.recoveryBytes) : 0)
}

function start(view: FoundedView, as: 'primary' | 'standby', text: string): Proposal {
  if (as === 'standby') return propose('HA-061', text, [{ command: 'start', as, sync: null, upstream: null }])
  const reached = view.data.status === 'present' ? view.data.reached : (0n as Lsn)
  const first = firstCommit(view, reached, 'restarted')
  if ('before' in first) return first.before
  return propose('HA-061', text, [{ command: 'start', as, sync: first.sync, upstream: null }])
}

function handOver(rule: 'HA-060' | 'HA-062', text: string): Proposal {
  return propose(rule, text, [{ command: 'release', because: text, yieldMs }])
}

/** A live voter that could win: with it the lease is not given up in vain. */
function heirOf(view: FoundedView): string | null {
  const voters = view.state.mode === 'async' ? null : view.state.voters
  const able = view.cluster.members.filter(
    (member) =>
      member.node !== view.self.node &&
      member.eligible &&
      member.role === 'standby' &&
      (voters === null || voters.names.includes(member.node)),
  )
  if (voters !== null && able.length < voters.needed) return null
  return able[0]?.node ?? null
}
