import { Fault } from '../std/fault.ts'

/** Whether reading an object again can help: not when it is known to be bad or not there, or nobody may read it. */
export function isWorthRetrying(error: unknown): boolean {
  if (!(error instanceof Fault)) return true
  const { exitClass } = error.kind
  return exitClass === 'unreachable' || exitClass === 'failed' || exitClass === 'busy'
}
