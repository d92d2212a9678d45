import { propose } from '../proposal.ts'
import type { FoundedView, Proposal } from '../proposal.ts'
import type { PrimaryView } from '../view.ts'

/** The longest a request waits for its target to catch up before it is refused. */
const patienceMs = 10_000

/** A planned hand-over asked for by an operator; undefined when there is none. */
export function switchover(view: FoundedView, server: PrimaryView): Proposal | undefined {
  const request = view.cluster.switchover.value
  if (request === null) return undefined
  const { self, state } = view
  const end = (outcome: string): Proposal =>
    propose('HA-071', outcome, [
      { command: 'end-switchover', id: request.id, revision: view.cluster.switchover.revision, outcome },
    ])
  if (request.from !== null && request.from !== self.node) return end(`refused: ${request.from} is not the leader`)
  if (request.to === self.node) return end('done: it leads already')
  const able = view.memory.followers.filter((follower) => {
    const voter = state.mode === 'async' || state.voters.names.includes(follower.node)
    const member = view.cluster.members.find((candidate) => candidate.node === follower.node)
    const streaming = server.senders.some((sender) => sender.name === follower.node && sender.streaming)
    return voter && streaming && follower.caughtUp && member?.eligible === true
  })
  const target = request.to === null ? able[0] : able.find((follower) => follower.node === request.to)
  if (target === undefined) {
    if (view.wall - request.requestedAt < patienceMs) return undefined
    return end(`refused: ${request.to ?? 'no standby'} is not an up-to-date standby`)
  }
  const { revision } = view.cluster.switchover
  return propose('HA-070', `hand over to ${target.node}`, [
    { command: 'switchover', to: target.node, id: request.id, revision },
  ])
}
