import type { Coordinator } from '../../../coordinator/coordinator.ts'
import type { Clock } from '../../../std/clock.ts'
import type { Log } from '../../../std/log.ts'
import { type BackupOrder, readOrder, type OrderReading, watchOrders, writeOrder } from './order-store.ts'

/** How a backup that was carried out has ended. */
export type OrderEnd = Pick<BackupOrder, 'document' | 'error' | 'exitCode'>

export interface OrderServing {
  readonly coordinator: Coordinator
  readonly cluster: string
  readonly node: string
  readonly clock: Clock
  readonly log: Log
  readonly run: (options: readonly string[], signal: AbortSignal) => Promise<OrderEnd>
}

const lookEveryMs = 3000
const retryMs = 5000

/** Takes the backups that other nodes ask this one for, one after the other, until the signal aborts. */
export async function serveOrders(serving: OrderServing, signal: AbortSignal): Promise<void> {
  const { coordinator, cluster, clock, log } = serving
  while (!signal.aborted) {
    try {
      await takeWanted(serving, signal)
      for await (const _ of watchOrders(coordinator, cluster, signal)) await takeWanted(serving, signal)
    } catch (error) {
      if (signal.aborted) return
      log.warn('cannot look for backups that other nodes ask for', { error })
      await clock.sleep(retryMs, { signal }).catch(() => undefined)
    }
  }
}

async function takeWanted(serving: OrderServing, signal: AbortSignal): Promise<void> {
  const { coordinator, cluster, node, log } = serving
  const found = await readOrder(coordinator, cluster, signal)
  const { order } = found
  if (order?.node !== node || order.state !== 'wanted') return
  if (!(await writeOrder(coordinator, cluster, { ...found, order: { ...order, state: 'running' } }, signal))) return
  log.info('backup for another node begins', { order: order.id, options: order.options })
  const end = await whileWanted(serving, order.id, signal, (wanted) => serving.run(order.options, wanted))
  log.info('backup for another node has ended', { order: order.id, exitCode: end.exitCode, error: end.error })
  const now = await readOrder(coordinator, cluster, signal)
  if (now.order?.id !== order.id) return
  await writeOrder(coordinator, cluster, { ...now, order: { ...order, ...end, state: 'ended' } }, signal)
}

/** Ends the work when nobody waits for it any more. */
async function whileWanted<Result>(
  { coordinator, cluster, clock }: OrderServing,
  id: string,
  signal: AbortSignal,
  work: (signal: AbortSignal) => Promise<Result>,
): Promise<Result> {
  const unwanted = new AbortController()
  const done = new AbortController()
  const looking = (async () => {
    for (;;) {
      await clock.sleep(lookEveryMs, { signal: done.signal })
      // A coordinator that does not answer for a while is no reason to end a backup.
      const reading = await readOrder(coordinator, cluster, done.signal).catch(
        (): OrderReading | undefined => undefined,
      )
      if (reading !== undefined && reading.order?.id !== id) return unwanted.abort()
    }
  })().catch(() => undefined)
  try {
    return await work(AbortSignal.any([signal, unwanted.signal]))
  } finally {
    done.abort()
    await looking
  }
}
