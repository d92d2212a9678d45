import { propose, soonMs } from '../proposal.ts'
import type { Proposal } from '../proposal.ts'
import type { View } from '../view.ts'

/** The agent was asked to end. The lease is kept while PostgreSQL stops, so that nobody starts before it has. */
export function leave(view: View): Proposal {
  if (view.server.status !== 'stopped') {
    return propose('HA-001', 'PostgreSQL is stopped first', [
      { command: 'stop', because: 'the agent was asked to end' },
    ])
  }
  if (view.lease !== null) {
    return propose('HA-001', 'the lease is given to whoever is left', [
      { command: 'release', because: 'the agent was asked to end', yieldMs: 60_000 },
    ])
  }
  return propose('HA-001', 'nothing is left to do', [], soonMs)
}
