import { waitUntil } from '../../std/wait-until.ts'
import { onPrimary, patienceMs, type DemoContext } from './demo-context.ts'
import { createWorkloadTable, startWorkload, type Workload } from './workload.ts'

const writers = 4

/** Several clients that write through a multi-host connection, with a ledger of what they were told. */
export async function workloadChapter(context: DemoContext): Promise<Workload> {
  const { list, cluster, clock, signal } = context
  list.chapter('2 Clients that write')
  await onPrimary(context, 'the table of the workload', async (sql) => {
    await createWorkloadTable(sql)
    return true
  })
  const workload = startWorkload({ targets: cluster.targets, writers, pauseMs: 5, clock })
  const startedAt = clock.monotonic()
  await list.required(
    `${writers} writers through a multi-host connection, each row noted outside the database`,
    async () => {
      const enough = async (): Promise<true | undefined> => (workload.ledger.acknowledged >= 200 ? true : undefined)
      await waitUntil('200 acknowledged rows', enough, { clock, signal, timeoutMs: patienceMs })
      const perSecond = (1000 * workload.ledger.acknowledged) / (clock.monotonic() - startedAt)
      return { figure: `${Math.round(perSecond)} acknowledged rows/s` }
    },
  )
  return workload
}
