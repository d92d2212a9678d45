import { randomUUID } from 'node:crypto'
import { clusterKeys, encodeEntry } from '../../cluster/core/keys.ts'
import type { SwitchoverEntry } from '../../cluster/core/keys.ts'
import type { Config } from '../../config/schema.ts'
import type { Coordinator } from '../../coordinator/coordinator.ts'
import { describeElapsed } from '../../std/duration.ts'
import { Fault } from '../../std/fault.ts'
import type { CommandContext } from '../command.ts'
import { cliFaults } from '../faults.ts'
import { openConfiguredCoordinator } from '../open-configured.ts'
import { askAgents } from '../status/ask-agents.ts'
import { readClusterEntries } from '../status/cluster-entries.ts'
import { switchoverStage } from './core/stage.ts'
import type { SwitchoverStage } from './core/stage.ts'

/** How long the leader may take to hand over, and then the old one to come back. */
const handOverPatienceMs = 60_000
const rejoinPatienceMs = 60_000
const lookEveryMs = 100
/** A leader that hands over may end the request a moment before it stops; only a lasting look says that it goes on. */
const calledOffAfterMs = 2000

const stageTexts: Readonly<Record<SwitchoverStage['stage'], string>> = {
  requested: 'asked; waiting for the leader to take it up',
  released: 'the old primary has stopped; waiting for the standby to take the lease',
  acquired: 'the standby has the lease; waiting until it accepts writes',
  writable: 'the new primary accepts writes; waiting for the old one to stream from it',
  redundant: 'done',
  'called-off': 'called off',
}

/** Asks for a switchover, follows it to its end, and prints what came of it. */
export async function runSwitchover(
  config: Config,
  context: CommandContext,
  to: string | null,
): Promise<'ok' | 'degraded' | 'failed'> {
  const { clock, signal, output } = context
  await using coordinator = await openConfiguredCoordinator(config, clock)
  const request = await askForSwitchover(coordinator, config.cluster, to, context)
  const from = request.from ?? ''
  const startedAt = clock.monotonic()
  const marks: { readonly stage: SwitchoverStage['stage']; readonly afterMs: number }[] = []
  let offSince: number | undefined
  let last: SwitchoverStage = { stage: 'requested', node: null }
  try {
    while (last.stage !== 'redundant') {
      const entries = await readClusterEntries(coordinator, config.cluster, signal)
      const answers = await askAgents(
        entries.members.filter(({ node }) => node === entries.leader?.node),
        signal,
      )
      last = switchoverStage({ id: request.id, from, entries, answers })
      const afterMs = clock.monotonic() - startedAt
      if (last.stage !== 'called-off') offSince = undefined
      else if (afterMs - (offSince ??= afterMs) >= calledOffAfterMs) throw calledOff(from, to)
      if (last.stage !== 'called-off' && marks.at(-1)?.stage !== last.stage) marks.push({ stage: last.stage, afterMs })
      output.progress(`${stageTexts[last.stage]} (${describeElapsed(afterMs)})`)
      const patience = last.stage === 'writable' ? handOverPatienceMs + rejoinPatienceMs : handOverPatienceMs
      if (afterMs > patience) break
      if (last.stage !== 'redundant') await clock.sleep(lookEveryMs, { signal })
    }
  } catch (error) {
    if (signal.aborted && last.stage === 'requested') await withdraw(coordinator, config.cluster, request)
    throw error
  } finally {
    output.progress('')
  }
  if (context.json) output.printJson({ from, to: last.node, stage: last.stage, marks })
  else output.print(describeOutcome(from, last, marks))
  if (last.stage === 'redundant') return 'ok'
  return last.stage === 'writable' ? 'degraded' : 'failed'
}

async function askForSwitchover(
  coordinator: Coordinator,
  cluster: string,
  to: string | null,
  { clock, signal }: CommandContext,
): Promise<SwitchoverEntry> {
  const keys = clusterKeys(cluster)
  const { leader, members, switchover, revisions } = await readClusterEntries(coordinator, cluster, signal)
  const refuse = (reason: string): Fault =>
    new Fault(cliFaults['cli-switchover-refused'], `Cannot hand over${to === null ? '' : ` to ${to}`}: ${reason}`)
  if (leader === null) throw refuse('there is no leader')
  if (to === leader.node) throw refuse('it leads already')
  const target = members.find(({ node }) => node === to)
  if (to !== null && target === undefined) {
    throw refuse(`the cluster has no such node now; it has ${members.map(({ node }) => node).join(', ')}`)
  }
  if (target?.eligible === false) throw refuse(target.trouble ?? 'it may not lead')
  if (switchover !== null) throw pending(switchover)
  const request = { id: randomUUID(), from: leader.node, to, requestedAt: clock.wall() }
  const { committed } = await coordinator.transact(
    {
      conditions: [
        { key: keys.switchover, modRevision: 0 },
        { key: keys.leader, modRevision: revisions.leader },
      ],
      changes: [{ put: keys.switchover, value: encodeEntry(request) }],
    },
    { signal },
  )
  if (committed) return request
  throw refuse('the cluster changed at the same moment')
}

/** Takes back a request that nobody has taken up; whoever has acted on it already wins. */
async function withdraw(coordinator: Coordinator, cluster: string, request: SwitchoverEntry): Promise<void> {
  const keys = clusterKeys(cluster)
  const entries = await readClusterEntries(coordinator, cluster, AbortSignal.timeout(2000))
  if (entries.switchover?.id !== request.id) return
  await coordinator.transact({
    conditions: [{ key: keys.switchover, modRevision: entries.revisions.switchover }],
    changes: [{ delete: keys.switchover }],
  })
}

function pending(request: SwitchoverEntry): Fault {
  const what = `a switchover from ${request.from ?? 'the leader'} to ${request.to ?? 'the best standby'}`
  return new Fault(cliFaults['cli-switchover-pending'], `Cannot ask for a switchover: ${what} is under way`)
}

function calledOff(from: string, to: string | null): Fault {
  const message = `Cannot hand over from ${from} to ${to ?? 'a standby'}: the leader called it off and goes on`
  return new Fault(cliFaults['cli-switchover-refused'], message)
}

function describeOutcome(
  from: string,
  last: SwitchoverStage,
  marks: readonly { readonly stage: SwitchoverStage['stage']; readonly afterMs: number }[],
): string {
  const times = marks.map(({ stage, afterMs }) => `${stage} after ${describeElapsed(afterMs)}`).join(', ')
  if (last.stage === 'redundant') return `${last.node} took over from ${from}: ${times}`
  if (last.stage === 'writable') return `${last.node} took over from ${from}, which has not come back yet: ${times}`
  return `no node accepts writes yet: ${times}`
}
