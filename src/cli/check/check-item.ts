import { Fault } from '../../std/fault.ts'

/** One thing that was looked at. `warn`: it can run, but look; `fail`: it cannot run like this. */
export interface CheckItem {
  readonly name: string
  readonly level: 'pass' | 'warn' | 'fail'
  /** What was observed. */
  readonly observed: string
  readonly hint?: string | undefined
}

export type Observation = Omit<CheckItem, 'name'>

export const pass = (observed: string): Observation => ({ level: 'pass', observed })
export const warn = (observed: string, hint?: string): Observation => ({ level: 'warn', observed, hint })
export const fail = (observed: string, hint?: string): Observation => ({ level: 'fail', observed, hint })

/** Looks, and turns whatever the look throws into a failed item: one check never hides the others. */
export async function look(name: string, observe: () => Promise<Observation>): Promise<CheckItem> {
  try {
    return { name, ...(await observe()) }
  } catch (error) {
    if (error instanceof Fault) return { name, ...fail(error.message, error.hint) }
    return { name, ...fail(`cannot be looked at: ${error instanceof Error ? error.message : String(error)}`) }
  }
}
