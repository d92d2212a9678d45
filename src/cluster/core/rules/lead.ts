import type { Lsn } from '../../../wal/core/lsn.ts'
import type { StateEntry } from '../keys.ts'
import { ago, propose, soonMs } from '../proposal.ts'
import type { FoundedView, Proposal } from '../proposal.ts'
import { slotName } from '../slot-name.ts'
import type { PrimaryView, StandbyView } from '../view.ts'
import { serverDown, serverMute } from './crash.ts'
import { firstCommit } from './first-commit.ts'
import { switchover } from './switchover.ts'
import { keepDurability } from './sync.ts'

/** This node holds the lease of the current term. */
export function lead(view: FoundedView): readonly Proposal[] {
  const { server } = view
  switch (server.status) {
    case 'stopped':
      return [serverDown(view)]
    case 'starting':
    case 'silent':
      return [serverMute(view)]
    case 'standby':
      return [becomePrimary(view, server)]
    case 'primary':
      return serve(view, server)
    default:
      return server satisfies never
  }
}

function becomePrimary(view: FoundedView, server: StandbyView): Proposal {
  const { state } = view
  const first = firstCommit(view, server.endLsn ?? (0n as Lsn), 'promoted')
  if ('before' in first) return first.before
  return propose('HA-040', `term ${state.term}, timeline ${state.reservedTimeline}`, [
    { command: 'promote', term: state.term, timeline: state.reservedTimeline, sync: first.sync },
  ])
}

function serve(view: FoundedView, server: PrimaryView): readonly Proposal[] {
  const { state, memory } = view
  const slots = keepSlots(view, server)
  if (!state.promoted || state.lineage.timeline !== server.lineage.timeline) {
    const next: StateEntry = { ...state, promoted: true, lineage: server.lineage }
    const start = server.lineage.left.at(-1)?.at ?? server.flushLsn
    return [
      ...slots,
      propose('HA-042', `primary on timeline ${server.lineage.timeline}`, [
        publish(view, next),
        { command: 'record-history', state: next, startLsn: start },
      ]),
    ]
  }
  const proof = memory.writableTerm === state.term ? [] : [prove(view)]
  const asked = memory.writableTerm === state.term ? switchover(view, server) : undefined
  if (asked !== undefined) return [asked]
  const durability = keepDurability(view, server)
  const calm = propose('HA-044', `leads term ${state.term}`)
  return [...slots, ...proof, ...durability, calm]
}

function prove(view: FoundedView): Proposal {
  return propose(
    'HA-043',
    'the row of this term is not committed yet',
    [{ command: 'prove-writable', term: view.state.term }],
    soonMs,
  )
}

/** Slots of members that are gone are kept for a while, so that a node that was restarted finds its WAL. */
const slotRetentionMs = 30 * 60_000

function keepSlots(view: FoundedView, server: PrimaryView): readonly Proposal[] {
  const others = view.cluster.members.filter((member) => member.node !== view.self.node)
  const wanted = others.map((member) => slotName(member.node))
  const missing = wanted.filter((name) => server.slots.every((slot) => slot.name !== name))
  const stale = server.slots.filter((slot) => {
    const follower = view.memory.followers.find((candidate) => slotName(candidate.node) === slot.name)
    const gone = follower === undefined || ago(view, follower.since) > slotRetentionMs
    const ours = slot.name === slotName(view.self.node)
    return (
      slot.name.startsWith('holdfast_') &&
      !wanted.includes(slot.name) &&
      !slot.active &&
      (ours || (follower !== undefined && gone))
    )
  })
  return [
    ...(missing.length === 0
      ? []
      : [propose('HA-045', `create ${missing.join(', ')}`, [{ command: 'create-slots' as const, names: missing }])]),
    ...(stale.length === 0
      ? []
      : [
          propose('HA-045', 'remove slots of nodes that are gone', [
            { command: 'drop-slots' as const, names: stale.map((slot) => slot.name) },
          ]),
        ]),
  ]
}

function publish(view: FoundedView, state: StateEntry) {
  return { command: 'publish-state', state, stateRevision: view.stateRevision } as const
}
