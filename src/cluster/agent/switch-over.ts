import { readControlFile } from '../../postgres/control-file.ts'
import { withSql } from '../../postgres/sql.ts'
import { Fault } from '../../std/fault.ts'
import { formatLsn } from '../../wal/core/lsn.ts'
import { yieldMs } from '../core/rules/crash.ts'
import { clusterFaults } from '../faults.ts'
import type { AgentContext } from './agent-context.ts'
import { endSwitchover, publishState } from './coordinator-writes.ts'
import { localTarget } from './local-target.ts'
import { readCluster } from './read-cluster.ts'
import { releaseLease } from './release-lease.ts'
import { stopServer } from './stop-server.ts'

const patienceMs = 5000
const pollMs = 10

/**
 * Hands the leadership over as planned. The checkpoint before the stop keeps the one at the stop short. A clean stop sends
 * all WAL to the standbys that are connected; only when the target reports that it has it all is the lease given up.
 * Otherwise the lease is kept, and the next cycle starts this server again.
 */
export async function switchOver(
  context: AgentContext,
  order: { readonly to: string; readonly id: string; readonly revision: number },
  signal: AbortSignal,
): Promise<void> {
  const { options, events } = context
  // Taken out first: whatever becomes of it, it is tried once.
  await endSwitchover(context, order.revision)
  events.note('switchover-begun', { to: order.to, id: order.id })
  await withSql(localTarget(options), { signal, statementTimeoutMs: 120_000 }, (sql) => sql.query('checkpoint'))
  await stopServer(context, `switchover to ${order.to}`, signal)
  const { checkpointLsn } = await readControlFile(options.dataDirectory)
  const end = options.clock.monotonic() + patienceMs
  for (;;) {
    const { cluster } = await readCluster(options.coordinator, context.keys, signal)
    const state = cluster.state.value
    const target = cluster.members.find((member) => member.node === order.to)
    // The record of the shutdown begins at the checkpoint's LSN; who is past it has all of it.
    const reached = target?.flushLsn ?? null
    if (state !== null && reached !== null && reached > checkpointLsn) {
      await publishState(context, { ...state, preferred: order.to }, cluster.state.revision)
      return await releaseLease(context, { because: `switchover to ${order.to}`, yieldMs })
    }
    if (options.clock.monotonic() > end) {
      throw new Fault(
        clusterFaults['cluster-switchover-failed'],
        `Cannot switch over to ${order.to}: it has not received WAL up to ${formatLsn(checkpointLsn)} in ${patienceMs / 1000} s`,
      )
    }
    await options.clock.sleep(pollMs, { signal })
  }
}
