import { getPriority, setPriority } from 'node:os'

/**
 * Lets others have the processor first: this process, and the threads that it makes from now on. One that somebody has put
 * lower already stays there; only root could raise it.
 */
export function lowerPriority(niceness: number): void {
  if (getPriority() < niceness) setPriority(niceness)
}
