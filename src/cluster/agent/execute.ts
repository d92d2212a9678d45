import { withSql } from '../../postgres/sql.ts'
import type { Command, InstantCommand, TaskCommand } from '../core/decision.ts'
import type { StateEntry } from '../core/keys.ts'
import type { View } from '../core/view.ts'
import { formatLsn } from '../../wal/core/lsn.ts'
import type { Observation } from './observe.ts'
import type { AgentContext } from './agent-context.ts'
import { bootstrapData } from './bootstrap-data.ts'
import { acquireLease, claimInitialize, endSwitchover, publishState, recordHistory } from './coordinator-writes.ts'
import { localTarget } from './local-target.ts'
import { promoteServer } from './promote-server.ts'
import { handOver, releaseLease } from './release-lease.ts'
import { cloneLeader, rewindToLeader } from './rejoin-data.ts'
import { startServerOfNode } from './start-server.ts'
import { stopServer } from './stop-server.ts'
import { switchOver } from './switch-over.ts'

const sqlTimeoutMs = 2000

const taskCommands: ReadonlySet<string> = new Set<TaskCommand['command']>([
  'bootstrap',
  'clone',
  'rewind',
  'start',
  'stop',
  'promote',
  'hand-over',
  'switchover',
])

export function isTask(command: Command): command is TaskCommand {
  return taskCommands.has(command.command)
}

/** Does one quick command. */
export async function executeInstant(
  context: AgentContext,
  command: InstantCommand,
  { view }: Observation,
): Promise<void> {
  const { options, memory, configuration, prover, events } = context
  switch (command.command) {
    case 'claim-initialize':
      return await claimInitialize(context)
    case 'acquire':
      return await acquireLease(context, command.state, command.stateRevision, command.founding)
    case 'release':
      return await releaseLease(context, command)
    case 'publish-state':
      await publishState(context, command.state, command.stateRevision)
      return noteDurability(context, view, command.state)
    case 'record-history':
      return await recordHistory(context, {
        term: command.state.term,
        node: options.node,
        timeline: command.state.lineage.timeline,
        startLsn: command.startLsn,
        reason: `term ${command.state.term}`,
        at: options.clock.wall(),
      })
    case 'freeze':
      if (memory.freezingForTerm === command.term && configuration.last.upstream === null) return
      memory.freezingForTerm = command.term
      memory.following = null
      events.note('freezing', { term: command.term })
      return await configuration.writeAndReload({ upstream: null, sync: null })
    case 'follow': {
      const upstream = { host: command.host, port: command.port }
      memory.freezingForTerm = null
      memory.frozenForTerm = null
      memory.following = `${command.host}:${command.port}`
      events.note('following', { upstream: memory.following })
      return await configuration.writeAndReload({ upstream, sync: null })
    }
    case 'apply-sync':
      events.note('durability-applied', { count: command.sync.count, names: command.sync.names.join(',') })
      return prover.apply(command.sync, command.term)
    case 'prove-writable':
      return prover.prove(command.term)
    case 'create-slots':
      return await withSql(
        localTarget(options),
        { connectTimeoutMs: sqlTimeoutMs, statementTimeoutMs: sqlTimeoutMs },
        async (sql) => {
          for (const name of command.names) {
            await sql.query('select pg_create_physical_replication_slot($1, true)', [name])
          }
        },
      )
    case 'drop-slots':
      return await withSql(
        localTarget(options),
        { connectTimeoutMs: sqlTimeoutMs, statementTimeoutMs: sqlTimeoutMs },
        async (sql) => {
          for (const name of command.names) await sql.query('select pg_drop_replication_slot($1)', [name])
        },
      )
    case 'end-switchover':
      events.note('switchover-ended', { id: command.id, outcome: command.outcome })
      return await endSwitchover(context, command.revision)
    default:
      return command satisfies never
  }
}

/** From where to where commits were on this node alone (L8). */
function noteDurability({ events, memory }: AgentContext, view: View, next: StateEntry): void {
  const before = view.coordinator.status === 'read' ? (view.coordinator.cluster.state.value?.degraded ?? null) : null
  if (before === null && next.degraded !== null) {
    events.note('durability-degraded', { fromLsn: formatLsn(next.degraded.lsn), because: next.degraded.because })
  } else if (before !== null && next.degraded === null) {
    const toLsn = memory.lastFlushLsn === null ? null : formatLsn(memory.lastFlushLsn)
    events.note('durability-restored', { fromLsn: formatLsn(before.lsn), toLsn })
  }
}

/** Does one command that takes long. */
export async function executeTask(
  context: AgentContext,
  command: TaskCommand,
  { view }: Observation,
  signal: AbortSignal,
): Promise<void> {
  switch (command.command) {
    case 'bootstrap':
      return await bootstrapData(context, signal)
    case 'clone':
      if (view.server.status !== 'stopped') await stopServer(context, 'it is cloned anew', signal)
      return await cloneLeader(context, command, signal)
    case 'rewind':
      if (view.server.status !== 'stopped') await stopServer(context, 'it is rewound', signal)
      return await rewindToLeader(context, command, command.divergedAt, signal)
    case 'start':
      return await startServerOfNode(context, command, signal)
    case 'stop':
      return await stopServer(context, command.because, signal)
    case 'promote': {
      const { data } = view
      if (data.status !== 'present') return
      return await promoteServer(context, { ...command, current: data.newestTimeline }, signal)
    }
    case 'hand-over':
      return await handOver(context, command)
    case 'switchover':
      return await switchOver(context, command, signal)
    default:
      return command satisfies never
  }
}
