import type { Change, Condition, Coordinator, Transaction } from '../../coordinator/coordinator.ts'
import { withDeadline } from '../../std/deadline.ts'
import { Fault } from '../../std/fault.ts'
import type { Founding } from '../core/decision.ts'
import { encodeEntry, historyKey, memberKey } from '../core/keys.ts'
import type { HistoryEntry, MemberEntry, StateEntry } from '../core/keys.ts'
import { clusterFaults } from '../faults.ts'
import type { AgentContext } from './agent-context.ts'

const deadlineMs = 2000

/** Takes the lease and the next term in one step: nobody else can have taken either since they were seen. */
export async function acquireLease(
  context: AgentContext,
  state: StateEntry,
  stateRevision: number,
  founding: Founding | null,
): Promise<void> {
  const { options, keys, keeper, events } = context
  const { coordinator, clock, lease, node } = options
  const sentAt = clock.monotonic()
  const id = await withDeadline('take a lease', deadlineMs, undefined, (signal) =>
    coordinator.grantLease(lease.ttlMs, { signal }),
  )
  try {
    const changes: Change[] = [
      { put: keys.leader, value: encodeEntry({ node, term: state.term }), lease: id },
      { put: keys.state, value: encodeEntry(state) },
    ]
    const conditions: Condition[] = [
      { key: keys.leader, modRevision: 0 },
      { key: keys.state, modRevision: stateRevision },
    ]
    if (founding !== null) {
      conditions.push({ key: keys.initialize, modRevision: founding.initializeRevision })
      changes.push({ put: keys.initialize, value: encodeEntry({ node, systemIdentifier: founding.systemIdentifier }) })
    }
    await commit(coordinator, { conditions, changes }, 'take the lease')
    if (!(await keeper.hold(id, state.term, sentAt))) {
      throw new Fault(clusterFaults['cluster-lease-refused'], `Cannot lead term ${state.term}: the fencer refused it`)
    }
  } catch (error) {
    // Whatever came of it: without this lease nobody is kept waiting by a leader that does not know that it is one.
    await withDeadline('revoke a lease', deadlineMs, undefined, (signal) =>
      coordinator.revokeLease(id, { signal }),
    ).catch(() => undefined)
    throw error
  }
  if (founding !== null) await context.setUnborn(null)
  context.memory.yieldUntil = null
  events.note('acquired', { term: state.term, reservedTimeline: state.reservedTimeline })
}

/** Claims the founding under this node's membership, so that it is free again when this node dies over it. */
export async function claimInitialize({ options, keys, keeper }: AgentContext): Promise<void> {
  const lease = await keeper.ensureMembership()
  await commit(
    options.coordinator,
    {
      conditions: [{ key: keys.initialize, modRevision: 0 }],
      changes: [{ put: keys.initialize, value: encodeEntry({ node: options.node, systemIdentifier: null }), lease }],
    },
    'found the cluster',
  )
}

/** Replaces the agreed state, provided that it is still what was seen and that this node still leads. */
export async function publishState(context: AgentContext, state: StateEntry, stateRevision: number): Promise<void> {
  const { options, keys, events } = context
  const leaderRevision = await ownLeaderRevision(context, state.term)
  await commit(
    options.coordinator,
    {
      conditions: [
        { key: keys.state, modRevision: stateRevision },
        { key: keys.leader, modRevision: leaderRevision },
      ],
      changes: [{ put: keys.state, value: encodeEntry(state) }],
    },
    'publish the state',
  )
  events.note('state-published', {
    term: state.term,
    promoted: state.promoted,
    timeline: state.lineage.timeline,
    voters: state.voters.names.join(','),
    votesNeeded: state.voters.needed,
    degraded: state.degraded !== null,
  })
}

async function ownLeaderRevision({ options, keys }: AgentContext, term: number): Promise<number> {
  const snapshot = await withDeadline('read the leader', deadlineMs, undefined, (signal) =>
    options.coordinator.list(keys.leader, { signal }),
  )
  const entry = snapshot.entries.find(({ key }) => key === keys.leader)
  if (entry?.value === encodeEntry({ node: options.node, term })) return entry.modRevision
  throw changed('publish the state')
}

export async function recordHistory({ options, keys }: AgentContext, entry: HistoryEntry): Promise<void> {
  await commit(
    options.coordinator,
    { conditions: [], changes: [{ put: historyKey(keys, entry.term), value: encodeEntry(entry) }] },
    'record the history',
  )
}

export async function endSwitchover({ options, keys }: AgentContext, revision: number): Promise<void> {
  await commit(
    options.coordinator,
    { conditions: [{ key: keys.switchover, modRevision: revision }], changes: [{ delete: keys.switchover }] },
    'end the switchover',
  )
}

export async function publishMember({ options, keys, keeper }: AgentContext, entry: MemberEntry): Promise<void> {
  const lease = await keeper.ensureMembership()
  await commit(
    options.coordinator,
    { conditions: [], changes: [{ put: memberKey(keys, options.node), value: encodeEntry(entry), lease }] },
    'publish this member',
  )
}

async function commit(coordinator: Coordinator, transaction: Transaction, what: string): Promise<void> {
  const { committed } = await withDeadline(what, deadlineMs, undefined, (signal) =>
    coordinator.transact(transaction, { signal }),
  )
  if (!committed) throw changed(what)
}

function changed(what: string): Fault {
  return new Fault(clusterFaults['cluster-coordinator-changed'], `Cannot ${what}: another node was first`)
}
