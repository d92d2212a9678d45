import { randomBytes } from 'node:crypto'
import type { Coordinator } from '../../../coordinator/coordinator.ts'
import type { Clock } from '../../../std/clock.ts'
import { exitCodes, Fault } from '../../../std/fault.ts'
import { cliFaults } from '../../faults.ts'
import { type BackupOrder, readOrder, writeOrder } from './order-store.ts'

const leaseMs = 30_000
const keepAliveEveryMs = 5000
const pollMs = 500
/** How long the other node's agent may take to begin. */
const beginPatienceMs = 15_000

export interface OrderRequest {
  readonly coordinator: Coordinator
  readonly cluster: string
  readonly node: string
  readonly options: readonly string[]
  readonly clock: Clock
  readonly signal: AbortSignal
}

/**
 * Has another node take a backup and gives the JSON document of its command. `unanswered`: its agent did not begin, and
 * will not. Throws `cli-backup-elsewhere-busy` while it is being asked by somebody else, and `cli-backup-elsewhere-failed`
 * with what it said. When the signal aborts the other node ends its backup.
 */
export async function orderBackup(request: OrderRequest): Promise<{ readonly document: unknown } | 'unanswered'> {
  const { coordinator, cluster, clock, signal } = request
  const lease = await coordinator.grantLease(leaseMs, { signal })
  const done = new AbortController()
  const keeping = keepLease(coordinator, lease, clock, done.signal)
  try {
    const order = await place(request, lease)
    const ended = await waitForEnd(request, order)
    return ended === undefined ? 'unanswered' : { document: documentOf(ended) }
  } finally {
    done.abort()
    await keeping
    // With it goes the order: whoever carries it out stops.
    await coordinator.revokeLease(lease).catch(() => undefined)
    signal.throwIfAborted()
  }

  async function place(
    { node, options }: OrderRequest,
    under: Awaited<ReturnType<Coordinator['grantLease']>>,
  ): Promise<BackupOrder> {
    const found = await readOrder(coordinator, cluster, signal)
    if (found.order !== undefined && found.order.state !== 'ended') throw busy(found.order)
    const id = randomBytes(8).toString('hex')
    const nothing = { document: null, error: null, exitCode: null }
    const order: BackupOrder = { id, node, options, state: 'wanted', ...nothing }
    if (await writeOrder(coordinator, cluster, { ...found, order, lease: under }, signal)) return order
    throw busy(order)
  }
}

async function waitForEnd(
  { coordinator, cluster, clock, signal }: OrderRequest,
  order: BackupOrder,
): Promise<BackupOrder | undefined> {
  const orderedAt = clock.monotonic()
  for (;;) {
    await clock.sleep(pollMs, { signal })
    const { order: now } = await readOrder(coordinator, cluster, signal)
    if (now?.id !== order.id) throw failed(order, 'the coordinator has lost the order')
    if (now.state === 'ended') return now
    if (now.state === 'wanted' && clock.monotonic() - orderedAt > beginPatienceMs) return undefined
  }
}

function documentOf(order: BackupOrder): unknown {
  const good = order.exitCode === exitCodes.ok || order.exitCode === exitCodes.degraded
  if (good && order.document !== null) return JSON.parse(order.document)
  throw failed(order, order.error ?? `it ended with exit code ${order.exitCode}`)
}

async function keepLease(
  coordinator: Coordinator,
  lease: Awaited<ReturnType<Coordinator['grantLease']>>,
  clock: Clock,
  signal: AbortSignal,
): Promise<void> {
  while (!signal.aborted) {
    await clock.sleep(keepAliveEveryMs, { signal }).catch(() => undefined)
    // Should it be lost, the order is lost, which is noticed there.
    if (!signal.aborted) await coordinator.keepAlive(lease).catch(() => undefined)
  }
}

function busy({ node }: BackupOrder): Fault {
  const message = `Cannot ask for a backup: ${node} is being asked for one already`
  return new Fault(cliFaults['cli-backup-elsewhere-busy'], message, { details: { node } })
}

function failed({ node }: BackupOrder, reason: string): Fault {
  const message = `Cannot take the backup on ${node}: ${reason}`
  return new Fault(cliFaults['cli-backup-elsewhere-failed'], message, { details: { node } })
}
