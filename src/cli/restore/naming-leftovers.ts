import { restoreFaults } from '../../restore/faults.ts'
import { inspectTarget } from '../../restore/layout/claim-target.ts'
import { Fault, isFault } from '../../std/fault.ts'
import { stdFaults } from '../../std/faults.ts'

/** The error of a restore, with a hint that says how to go on when it has left something in its directory. */
export async function namingLeftovers(error: unknown, directory: string): Promise<unknown> {
  if (!isFault(error) || error.kind === restoreFaults['restore-directory-not-empty']) return error
  const state = await inspectTarget(directory).catch(() => undefined)
  if (state?.kind !== 'unfinished') return error
  const next = `run the same command again: it goes on with what is in ${directory}.`
  const hint = error.kind === stdFaults.interrupted ? next.replace('r', 'R') : `${error.hint} Then ${next}`
  return new Fault(error.kind, error.message, { hint, details: error.details, cause: error.cause })
}
