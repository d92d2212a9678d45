import { toJson } from '../../cluster/core/json-reader.ts'
import type { Config, RepositoryConfig } from '../../config/schema.ts'
import { withDeadline } from '../../std/deadline.ts'
import { archiverSlot } from '../agent/archiver-slot.ts'
import type { CommandContext } from '../command.ts'
import { chooseRepository, openConfiguredCoordinator, openConfiguredRepository } from '../open-configured.ts'
import { askAgents } from '../status/ask-agents.ts'
import { readClusterEntries } from '../status/cluster-entries.ts'
import type { AgentAnswer } from '../status/core/status-report.ts'
import { reportWal } from './core/wal-report.ts'
import type { WalFacts } from './core/wal-report.ts'
import { readStoredWal } from './read-stored-wal.ts'
import { renderWalStatus } from './render-wal-status.ts'
import { askServer } from './slot-state.ts'

const readPatienceMs = 60_000

interface Leader {
  readonly host: string
  readonly port: number
  readonly answer: AgentAnswer | undefined
}

/** Looks at the repository, the archiver and the server of the leader; what one does not tell, another may. */
export async function runWalStatus(
  config: Config,
  context: CommandContext,
  name: string | undefined,
): Promise<'ok' | 'degraded'> {
  const chosen = chooseRepository(config, name)
  const leader = await findLeader(config, context)
  const [stored, server] = await Promise.all([readStored(chosen, config, context), readServer(leader)])
  const answer = typeof leader === 'object' ? leader.answer : undefined
  const archivers = answer?.answered === true ? answer.archivers : null
  const facts: WalFacts = {
    repository: chosen.name,
    isCopy: chosen !== config.repositories[0],
    stored,
    archiver: archivers === null ? undefined : (archivers[chosen.name] ?? null),
    agentNow: answer?.answered === true ? (answer.now ?? null) : null,
    server,
  }
  const report = reportWal(facts)
  if (context.json) context.output.printJson(JSON.parse(toJson(report)))
  else context.output.print(renderWalStatus(report, context.clock.wall()))
  return report.problems.length === 0 ? 'ok' : 'degraded'

  async function readServer(from: Leader | string): Promise<WalFacts['server']> {
    if (typeof from === 'string') return { unreachable: from }
    try {
      return await askServer(config, from, archiverSlot(chosen.name), context.signal)
    } catch (error) {
      context.signal.throwIfAborted()
      return { unreachable: messageOf(error) }
    }
  }
}

/** Why there is none, where there is none. */
async function findLeader(config: Config, { clock, signal }: CommandContext): Promise<Leader | string> {
  try {
    await using coordinator = await openConfiguredCoordinator(config, clock)
    const { leader, members } = await readClusterEntries(coordinator, config.cluster, signal)
    const member = members.find(({ node }) => node === leader?.node)
    if (member === undefined) return 'there is no leader'
    const answers = await askAgents([member], signal)
    return { host: member.host, port: member.port, answer: answers.get(member.node) }
  } catch (error) {
    signal.throwIfAborted()
    return messageOf(error)
  }
}

async function readStored(
  chosen: RepositoryConfig,
  config: Config,
  { clock, signal }: CommandContext,
): Promise<WalFacts['stored']> {
  try {
    return await withDeadline(`read repository ${chosen.name}`, readPatienceMs, signal, async (deadline) => {
      await using opened = await openConfiguredRepository(chosen, { clock, signal: deadline })
      return await readStoredWal(opened.repository, config.cluster, { signal: deadline })
    })
  } catch (error) {
    signal.throwIfAborted()
    return { unreadable: messageOf(error) }
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
