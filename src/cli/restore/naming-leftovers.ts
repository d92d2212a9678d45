import { readdir } from 'node:fs/promises'
import { restoreFaults } from '../../restore/faults.ts'
import { Fault, isFault } from '../../std/fault.ts'
import { stdFaults } from '../../std/faults.ts'

/**
 * The error of a restore, with a hint that names what it has left in its directory: the same command would refuse to run
 * again while that is there.
 */
export async function namingLeftovers(error: unknown, directory: string): Promise<unknown> {
  if (!isFault(error) || error.kind === restoreFaults['restore-directory-not-empty']) return error
  const left: readonly string[] = await readdir(directory).catch(() => [])
  if (left.length === 0) return error
  const next =
    error.kind === stdFaults.interrupted
      ? `Remove ${directory}, which holds an unfinished restore, then run the same command again.`
      : `${error.hint} Remove ${directory} before you restore into it again.`
  return new Fault(error.kind, error.message, { hint: next, details: error.details, cause: error.cause })
}
