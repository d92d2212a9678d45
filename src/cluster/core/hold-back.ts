import { ago } from './proposal.ts'
import type { Proposal } from './proposal.ts'
import type { View } from './view.ts'

const windowMs = 120_000
const firstWaitMs = 250
const longestWaitMs = 10_000

/** A task that has failed lately is tried again after a wait that doubles with each failure. */
export function holdBack(view: View, proposal: Proposal): Proposal {
  const command = proposal.commands.at(-1)
  const failures = view.memory.failures.filter(
    (failure) => failure.kind === command?.command && ago(view, failure.at) < windowMs,
  )
  const last = failures.at(-1)
  if (last === undefined) return proposal
  const waitMs = Math.min(longestWaitMs, firstWaitMs * 2 ** (failures.length - 1)) - ago(view, last.at)
  if (waitMs <= 0) return proposal
  const text = `${proposal.text}; again in ${Math.ceil(waitMs)} ms after: ${last.message}`
  return { ...proposal, text, commands: [], wakeInMs: waitMs }
}
