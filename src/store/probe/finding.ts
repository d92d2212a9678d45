import { describeElapsed } from '../../std/duration.ts'

/**
 * One thing that a probe found out. `bad`: nothing may be kept there; `weak`: it will do as a copy, or with the limit that is
 * told; `fact`: worth knowing, nothing to judge; `unknown`: it could not be tried.
 */
export interface Finding {
  readonly check: string
  readonly outcome: 'good' | 'weak' | 'bad' | 'fact' | 'unknown'
  readonly told: string
  /** In milliseconds or bytes a second, where the check measures something. */
  readonly figure?: number
}

export const good = (check: string, told: string): Finding => ({ check, outcome: 'good', told })
export const weak = (check: string, told: string): Finding => ({ check, outcome: 'weak', told })
export const bad = (check: string, told: string): Finding => ({ check, outcome: 'bad', told })
export const fact = (check: string, told: string): Finding => ({ check, outcome: 'fact', told })
export const unknown = (check: string, told: string): Finding => ({ check, outcome: 'unknown', told })

/** What a probe of one adapter adds to what every store is asked. */
export interface AdapterProbe {
  readonly findings: readonly Finding[]
  /** Removes everything the probe made, and gives the names of what could not be removed. */
  cleanUp(): Promise<readonly string[]>
}

/** Times in headers have a resolution of a second; requests are refused by S3 beyond a quarter of an hour. */
export function judgeClock(skewMs: number): Finding {
  const amount =
    Math.abs(skewMs) < 1500
      ? 'within a second of'
      : `${describeElapsed(Math.abs(skewMs))} ${skewMs > 0 ? 'ahead of' : 'behind'}`
  const told = `the clock of the server is ${amount} ours`
  return { ...(Math.abs(skewMs) > 60_000 ? weak('clock', told) : fact('clock', told)), figure: Math.round(skewMs) }
}
