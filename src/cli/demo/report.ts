import type { DemoCheck } from './check-list.ts'

/** What one run of the demo found, as it is written to `holdfast-demo.json` and rendered for people. */
export interface DemoReport {
  readonly holdfast: string
  readonly postgres: string
  readonly node: string
  readonly machine: string
  readonly seed: number
  readonly startedAt: string
  readonly tookMs: number
  readonly passed: boolean
  readonly checks: readonly DemoCheck[]
  readonly failovers: readonly FailoverRecord[]
  readonly restore: RestoreRecord | undefined
}

/** A failover, its marks in milliseconds since the fault; a mark that was not observed is undefined, never guessed. */
export interface FailoverRecord {
  readonly what: string
  readonly from: string
  readonly to: string | undefined
  readonly marks: readonly FailoverMark[]
  readonly rtoMs: number | undefined
  readonly acknowledgedBefore: number
  readonly lostRows: number | undefined
}

export interface FailoverMark {
  readonly name: string
  readonly atMs: number | undefined
}

export interface RestoreRecord {
  readonly target: string
  readonly backup: string
  readonly rowsBack: number
  readonly rowsAfterTarget: number
  readonly tookMs: number
}

export function formatMs(ms: number | undefined): string {
  if (ms === undefined) return 'not observed'
  return ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(2)} s`
}
