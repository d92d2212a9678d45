import { Fault } from '../std/fault.ts'
import { Malformed } from './core/malformed.ts'
import { repositoryFaults } from './faults.ts'

/** How an object can be bad. `swapped`: it is whole, but it is another object than its name says. */
export type ObjectProblem = 'missing' | 'truncated' | 'altered' | 'swapped' | 'key-missing' | 'unsupported'

/** The fault for an object that must not be used. */
export function objectFault(objectKey: string, problem: ObjectProblem, reason: string, cause?: unknown): Fault {
  const details = { object: objectKey, problem }
  return new Fault(kinds[problem], `Cannot use object ${objectKey}: ${reason}`, { details, cause })
}

const kinds = {
  missing: repositoryFaults['repository-object-missing'],
  truncated: repositoryFaults['repository-object-damaged'],
  altered: repositoryFaults['repository-object-damaged'],
  swapped: repositoryFaults['repository-object-damaged'],
  'key-missing': repositoryFaults['repository-key-missing'],
  unsupported: repositoryFaults['repository-format-unsupported'],
} as const

/** Runs a pure decoder on an object's bytes; what it finds malformed becomes a fault that names the object. */
export function decodeObject<Result>(objectKey: string, decode: () => Result): Result {
  try {
    return decode()
  } catch (error) {
    if (error instanceof Malformed) throw objectFault(objectKey, error.problem, error.message, error)
    throw error
  }
}
