import { getPriority, setPriority } from 'node:os'

/** Makes a process (by default this one) at least as nice as this; one that is nicer already stays so, nobody may undo it. */
export function lowerPriority(niceness: number, pid = 0): void {
  if (getPriority(pid) < niceness) setPriority(pid, niceness)
}
