import type { ProofCheck, VerificationProof } from '../../../repository/core/proof.ts'
import { verificationLevels, type VerificationLevel } from '../../../repository/core/proof-name.ts'

/** A check, and whether its level is proven without it: what a machine or a backup cannot offer is named, not needed. */
export interface Check extends ProofCheck {
  readonly needed: boolean
}

export interface Judgement {
  readonly proven: VerificationLevel | null
  readonly outcome: VerificationProof['outcome']
}

/**
 * What a list of checks proves: a level when it was looked at, nothing of it or below failed, and nothing that it needs was
 * left out. `doubtful` does not take a level away; somebody should look.
 */
export function judge(checks: readonly Check[], requested: VerificationLevel): Judgement {
  let proven: VerificationLevel | null = null
  for (const level of verificationLevels.filter((candidate) => candidate <= requested)) {
    const own = checks.filter((check) => check.level === level)
    const done = own.some(({ outcome }) => outcome !== 'skipped')
    const stands = own.every(
      ({ outcome, needed }) => outcome === 'passed' || outcome === 'doubtful' || (outcome === 'skipped' && !needed),
    )
    if (!done || !stands) break
    proven = level
  }
  return { proven, outcome: outcomeOf(checks, proven === requested) }
}

function outcomeOf(checks: readonly Check[], complete: boolean): VerificationProof['outcome'] {
  if (checks.some(({ outcome }) => outcome === 'failed')) return 'failed'
  if (!complete) return 'incomplete'
  return checks.some(({ outcome }) => outcome === 'doubtful') ? 'doubtful' : 'passed'
}
