import type { LoadedConfig } from '../../config/load.ts'
import type { Coordinator } from '../../coordinator/coordinator.ts'
import { runJob } from '../../schedule/run-job.ts'
import type { Log } from '../../std/log.ts'
import { type OrderEnd, serveOrders } from '../backups/order/serve-orders.ts'
import type { CommandContext } from '../command.ts'

/** Takes backups of this node that other nodes ask for, each by a command of its own, until the agent ends. */
export async function serveBackupOrders(
  { file, config }: LoadedConfig,
  {
    coordinator,
    context,
    log,
  }: { readonly coordinator: Coordinator; readonly context: CommandContext; readonly log: Log },
): Promise<void> {
  const { clock, program, environment, signal } = context
  const run = async (options: readonly string[], wanted: AbortSignal): Promise<OrderEnd> => {
    let document: unknown
    const sizeOf = (printed: unknown): null => {
      document = printed
      return null
    }
    const job = { program, arguments: ['backup', ...options, '--config', file], environment, sizeOf, clock }
    const { error, exitCode } = await runJob(job, wanted)
    return { error, exitCode, document: document === undefined ? null : JSON.stringify(document) }
  }
  await serveOrders({ coordinator, cluster: config.cluster, node: config.node.name, clock, log, run }, signal)
}
