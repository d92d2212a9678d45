import type { ProofCheck, ProofFinding } from '../../repository/core/proof.ts'
import type { VerificationLevel } from '../../repository/core/proof-name.ts'
import type { Clock } from '../../std/clock.ts'
import type { Fault } from '../../std/fault.ts'
import type { Check } from './core/judge.ts'

/** What one check saw. */
export interface Seen {
  readonly outcome: ProofCheck['outcome']
  readonly text: string
  /** Default true: the level is not proven without it. */
  readonly needed?: boolean
}

/** Collects what is seen while a backup is verified. */
export interface Examination {
  readonly checks: readonly Check[]
  readonly findings: readonly ProofFinding[]
  /** Runs one check and keeps what it saw, with the time it took. */
  check(level: VerificationLevel, name: string, look: () => Promise<Seen>): Promise<Seen['outcome']>
  find(finding: Pick<ProofFinding, 'level' | 'message'> & Partial<ProofFinding>): void
  /** As {@link Examination.find}, from the fault that says it. */
  findFault(level: VerificationLevel, fault: Fault): void
}

export function openExamination(clock: Clock, onCheck: (check: Check) => void): Examination {
  const checks: Check[] = []
  const findings: ProofFinding[] = []
  const find: Examination['find'] = (finding) => {
    findings.push({ object: null, path: null, block: null, relation: null, ...finding })
  }
  return {
    checks,
    findings,
    check: async (level, name, look) => {
      const started = clock.monotonic()
      const { outcome, text, needed = true } = await look()
      const check = { level, name, outcome, text, needed, durationMs: Math.round(clock.monotonic() - started) }
      checks.push(check)
      onCheck(check)
      return outcome
    },
    find,
    findFault: (level, fault) => {
      const { object } = fault.details
      find({ level, message: fault.message, object: typeof object === 'string' ? object : null })
    },
  }
}

/** `failed` with what was counted, or `passed`. */
export function countedSeen(bad: number, good: string, what: string): Seen {
  return bad === 0 ? { outcome: 'passed', text: good } : { outcome: 'failed', text: `${bad} ${what}` }
}
