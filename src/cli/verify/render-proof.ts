import type { ProofCheck, ProofFinding, VerificationProof } from '../../repository/core/proof.ts'
import { describeElapsed } from '../../std/duration.ts'
import { formatLsn } from '../../wal/core/lsn.ts'
import type { Output, Style } from '../terminal/output.ts'
import { formatTable } from '../terminal/table.ts'
import type { VerifyResult } from './run-verify.ts'

const outcomeStyles = {
  passed: 'green',
  doubtful: 'yellow',
  incomplete: 'yellow',
  failed: 'red',
  skipped: 'dim',
} as const satisfies Record<VerificationProof['outcome'] | ProofCheck['outcome'], Style>

/** More than this is in the proof. */
const mostShown = 20

/** A proof as people read it: the verdict, each check, everything that is wrong, and what is left. */
export function renderProof({ proof, id, notRecorded }: VerifyResult, style: Output['style']): string {
  const { place, backup, requested, proven, outcome, provenLsn, provenTime } = proof
  const reached = proven === null ? 'nothing is proven' : `proven at level ${proven}`
  const wanted = proven === requested ? '' : ` of ${requested}`
  const verdict = style(outcomeStyles[outcome], outcome)
  const until = provenTime === null ? '' : `, the last commit at ${new Date(provenTime).toISOString()}`
  const rows = proof.checks.map((check) => [
    `L${check.level}`,
    style(outcomeStyles[check.outcome], check.outcome),
    check.name,
    describeElapsed(check.durationMs),
    check.text,
  ])
  return [
    `backup ${backup} in repository ${place}: ${verdict}, ${reached}${wanted}`,
    formatTable(['', '', 'check', 'took', 'seen'], rows, [3]),
    ...(provenLsn === null ? [] : [`WAL to ${formatLsn(provenLsn)}, timeline ${proof.timeline}${until}`]),
    ...proof.findings.slice(0, mostShown).map((finding) => `${style('red', '!')} ${describeFinding(finding)}`),
    ...(proof.findingCount > mostShown ? [`! and ${proof.findingCount - mostShown} more`] : []),
    ...(proof.restorable === null ? [] : [`left: ${proof.restorable}`]),
    id === null ? `${style('yellow', '!')} this is not recorded: ${notRecorded}` : `recorded as ${id}`,
  ].join('\n')
}

function describeFinding({ level, message, path, block, relation }: ProofFinding): string {
  if (path === null) return `L${level}: ${message}`
  const what = [...(relation === null ? [] : [relation]), ...(block === null ? [] : [`block ${block}`]), path]
  return `L${level}: ${what.join(', ')}: ${message}`
}
