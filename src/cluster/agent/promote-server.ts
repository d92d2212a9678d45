import { openSql } from '../../postgres/sql.ts'
import { requestPromotion } from '../../postgres/postmaster.ts'
import { Fault } from '../../std/fault.ts'
import type { TimelineId } from '../../wal/core/lsn.ts'
import { renderSyncNames } from '../core/sync-names.ts'
import type { SyncSet } from '../core/sync-set.ts'
import { clusterFaults } from '../faults.ts'
import type { AgentContext } from './agent-context.ts'
import { localTarget } from './local-target.ts'
import { reserveTimeline } from './reserve-timeline.ts'

const pollMs = 5
const limitMs = 60_000

/**
 * Makes the standby of this node the primary. The durability set is in force before the promotion begins, so that there
 * is no commit that waits for less; the lease has to hold until the request is made.
 */
export async function promoteServer(
  context: AgentContext,
  order: { readonly term: number; readonly timeline: number; readonly sync: SyncSet; readonly current: TimelineId },
  signal: AbortSignal,
): Promise<void> {
  const { options, configuration, keeper, memory } = context
  const { clock, dataDirectory } = options
  await configuration.writeAndReload({ upstream: null, sync: order.sync })
  await using sql = await openSql(localTarget(options), { signal, connectTimeoutMs: 3000 })
  await untilShown()
  await reserveTimeline(dataDirectory, order.current, order.timeline as TimelineId)
  if (keeper.held?.term !== order.term) throw failed('its lease is over')
  memory.syncInForce = [order.sync]
  memory.writableTerm = null
  await requestPromotion(dataDirectory)
  context.events.note('promotion-requested', { term: order.term })
  const end = clock.monotonic() + limitMs
  for (;;) {
    const [row] = await sql.query<{ recovery: boolean }>('select pg_is_in_recovery() as recovery')
    if (row?.recovery === false) break
    if (clock.monotonic() > end) throw failed(`it is still in recovery after ${limitMs / 1000} s`)
    await clock.sleep(pollMs, { signal })
  }
  context.events.note('promoted', { term: order.term })

  async function untilShown(): Promise<void> {
    for (;;) {
      await using fresh = await openSql(localTarget(options), { signal, connectTimeoutMs: 3000 })
      const [row] = await fresh.query<{ value: string }>(`select current_setting('synchronous_standby_names') as value`)
      if (row?.value === renderSyncNames(order.sync)) return
      await clock.sleep(pollMs, { signal })
    }
  }

  function failed(why: string): Fault {
    return new Fault(clusterFaults['cluster-promotion-failed'], `Cannot promote ${options.node}: ${why}`)
  }
}
