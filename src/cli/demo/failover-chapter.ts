import { waitUntil } from '../../std/wait-until.ts'
import type { DemoNode } from './demo-cluster.ts'
import { onPrimary, patienceMs, primaryNode, waitRedundant, type DemoContext } from './demo-context.ts'
import { lostRows } from './ledger.ts'
import { eventsSince, type NodeEvent } from './node-events.ts'
import { killAll, postmasterPid, processesBelow } from './node-processes.ts'
import { formatMs, type FailoverMark, type FailoverRecord } from './report.ts'
import { readWorkloadRows, type Workload } from './workload.ts'

interface Disaster {
  readonly what: string
  /** Does the damage; the node does not come back by itself unless `recovers`. */
  readonly strike: (node: DemoNode) => Promise<unknown>
  readonly afterwards: (node: DemoNode) => Promise<void>
}

/** Kills the primary's PostgreSQL, then a whole primary node, while clients write; measures and counts. */
export async function failoverChapter(context: DemoContext, workload: Workload): Promise<FailoverRecord[]> {
  const { list, cluster } = context
  list.chapter('4 Disaster one: the primary dies')
  const disasters: readonly Disaster[] = [
    {
      what: 'kill -9 of the primary’s postgres',
      strike: async (node) => process.kill(await postmasterPid(node.dataDirectory), 'SIGKILL'),
      afterwards: () => Promise.resolve(),
    },
    {
      what: 'kill -9 of the whole primary node: agent, fencer, postgres',
      strike: (node) => killAll(() => processesBelow(node.directory)),
      afterwards: (node) => cluster.startAgent(node),
    },
  ]
  const records: FailoverRecord[] = []
  for (const disaster of disasters) records.push(await survive(disaster, context, workload))
  return records
}

async function survive(disaster: Disaster, context: DemoContext, workload: Workload): Promise<FailoverRecord> {
  const { list, clock, signal, random, cluster } = context
  const { ledger } = workload
  const victim = await primaryNode(context)
  await clock.sleep(300 + 700 * random(), { signal })
  const acknowledgedBefore = ledger.acknowledged
  const faultAt = clock.monotonic()
  await disaster.strike(victim)
  const writable = await list.check(`${disaster.what}: writes go on by themselves`, async () => {
    const at = await waitUntil('a write accepted after the fault', async () => ledger.firstAcknowledgedAfter(faultAt), {
      clock,
      signal,
      timeoutMs: patienceMs,
    })
    const heir = await primaryNode(context)
    return { figure: `RTO ${formatMs(at - faultAt)}, ${victim.name} → ${heir.name}`, at, heir }
  })
  await disaster.afterwards(victim)
  const redundant = await list.check(`${victim.name} comes back and the cluster is redundant again`, async () => {
    await waitRedundant(context)
    return { figure: formatMs(clock.monotonic() - faultAt), at: clock.monotonic() }
  })
  const events = await eventsSince(cluster.nodes, faultAt)
  const marks = timeline(events, faultAt, writable?.at, redundant?.at)
  const figure = marks.map((mark) => `${mark.name} ${formatMs(mark.atMs)}`).join(' · ')
  await list.check('the timeline', async () => Promise.resolve({ figure }))
  const lost = await countLost(context, workload)
  return {
    what: disaster.what,
    from: victim.name,
    to: writable?.heir.name,
    marks,
    rtoMs: writable && writable.at - faultAt,
    acknowledgedBefore,
    lostRows: lost,
  }
}

/** Every row whose commit was acknowledged so far must be there, and none that nobody sent. */
async function countLost(context: DemoContext, workload: Workload): Promise<number | undefined> {
  let lost: number | undefined
  await context.list.check('no acknowledged row is lost', async () => {
    const acknowledged = workload.ledger.acknowledgedRows()
    const present = await onPrimary(context, 'the rows', readWorkloadRows)
    const missing = lostRows(acknowledged, present)
    const strangers = workload.ledger.strangers(present)
    lost = missing.length
    if (missing.length > 0) throw new Error(`${missing.length} lost: ${missing.slice(0, 5).join(', ')} …`)
    if (strangers.length > 0)
      throw new Error(`${strangers.length} rows that nobody sent: ${strangers.slice(0, 5).join(', ')}`)
    return { figure: `0 of ${acknowledged.size} lost, ${workload.ledger.unknown} without an answer` }
  })
  return lost
}

/** The marks of a failover and the events of the agents that set them; the first one after the fault counts. */
const handOver: readonly (readonly [string, readonly string[]])[] = [
  ['detected', ['postgres-exited', 'freezing']],
  ['fenced', ['lease-released', 'freezing']],
  ['elected', ['acquired']],
  ['promoted', ['promoted']],
]

/** Where the leader kept its lease and started its server again, nobody was fenced, elected or promoted. */
const restart: typeof handOver = [
  ['detected', ['postgres-exited']],
  ['started again in place', ['postgres-started']],
]

function timeline(
  events: readonly NodeEvent[],
  faultAt: number,
  writableAt: number | undefined,
  redundantAt: number | undefined,
): FailoverMark[] {
  const since = (at: number | undefined): number | undefined => (at === undefined ? undefined : at - faultAt)
  const handedOver = events.some(({ event }) => event === 'acquired')
  return [
    { name: 'fault', atMs: 0 },
    ...(handedOver ? handOver : restart).map(([name, kinds]) => ({
      name,
      atMs: since(events.find(({ event }) => kinds.includes(event))?.monotonicMs),
    })),
    { name: 'first accepted write', atMs: since(writableAt) },
    { name: 'redundant again', atMs: since(redundantAt) },
  ]
}
