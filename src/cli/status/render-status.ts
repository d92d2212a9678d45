import { describeBytes } from '../../std/byte-size.ts'
import { describeElapsed } from '../../std/duration.ts'
import type { EpochMs } from '../../std/clock.ts'
import { formatLsn } from '../../wal/core/lsn.ts'
import type { Output, Style } from '../terminal/output.ts'
import { formatTable } from '../terminal/table.ts'
import { describeLast, describeNext } from '../schedule/job-text.ts'
import type { NodeReport, ProofReport, StatusReport } from './core/status-report.ts'
import { describeLag } from './describe-lag.ts'

const verdictStyles = { healthy: 'green', degraded: 'yellow', down: 'red' } as const satisfies Record<string, Style>

/** The status at a glance. `?` stands for what was not observed. */
export function renderStatus(report: StatusReport, now: EpochMs, style: Output['style']): string {
  const verdict = style(verdictStyles[report.verdict], report.verdict)
  const lines = [
    [
      `cluster ${style('bold', report.cluster)}: ${verdict}`,
      ...(report.term === null ? [] : [`term ${report.term}`]),
      ...report.repositories.slice(0, 1).map((repository) => describeLastProven(repository, now)),
    ].join(' · '),
    ...report.problems.map((problem) => `  ${style(verdictStyles[report.verdict], '!')} ${problem}`),
    '',
    nodeTable(report),
    '',
    field('writes', describeWrites(report)),
    field(
      'next',
      report.next.node === null ? `nobody: ${report.next.because}` : `${report.next.node} (${report.next.because})`,
    ),
    field('durability', describeDurability(report)),
    field('failover', describeFailover(report, now)),
    ...report.repositories.flatMap((repository) => [
      field(repository.copyOf === null ? 'backups' : 'copy', describeRepository(repository, now)),
      ...(repository.readable
        ? [field('proven', `${repository.name}: ${describeProofs(repository.proofs, now)}`)]
        : []),
    ]),
  ]
  for (const job of report.jobs) lines.push(field('job', describeJob(job, now)))
  if (report.repositories.length === 0) lines.push(field('backups', 'no repository is configured'))
  return lines.join('\n')
}

function nodeTable(report: StatusReport): string {
  const header = ['node', 'role', 'state', 'timeline', 'position', 'lag', 'late', 'sync', 'agent', 'address']
  const row = (node: NodeReport): readonly string[] => {
    const standby = node.role === 'standby'
    return [
      node.name,
      node.role,
      node.state,
      String(node.timeline ?? '?'),
      node.lsn === null ? '?' : formatLsn(node.lsn),
      standby ? (node.lagBytes === null ? '?' : describeBytes(node.lagBytes)) : '',
      standby ? (node.lagMs === null ? '?' : describeElapsed(node.lagMs)) : '',
      standby ? (node.sync ?? '?') : '',
      node.agent === 'unknown' ? '?' : node.agent,
      node.address ?? '?',
    ]
  }
  return formatTable(header, report.nodes.map(row), [3, 5, 6])
}

function describeWrites(report: StatusReport): string {
  if (report.leader === null) return 'nowhere'
  if (report.acceptsWrites === 'unknown') return `${report.leader}, as far as is known`
  return report.acceptsWrites ? report.leader : `nowhere: ${report.leader} is not ready`
}

function describeDurability({ durability }: StatusReport): string {
  if (durability === null) return '?'
  if (durability.degraded !== null) return `${durability.mode}, reduced since ${formatLsn(durability.degraded.lsn)}`
  return durability.mode === 'async' ? 'async' : `${durability.mode} over ${durability.voters.join(', ')}`
}

function describeFailover({ pause, switchover }: StatusReport, now: EpochMs): string {
  if (switchover !== null) return `switchover to ${switchover.to ?? 'the best standby'} under way`
  return pause === null ? 'automatic' : `paused for ${describeElapsed(now - pause.since)}: ${pause.because}`
}

function describeRepository(repository: StatusReport['repositories'][number], now: EpochMs): string {
  if (!repository.readable) return `${repository.name}: ${repository.because}`
  const { last, tailBytes, archiver } = repository
  const age =
    last === null
      ? 'none yet'
      : `last ${describeElapsed(now - last.stoppedAt)} ago (${describeBytes(last.dataBytes)}, ${last.id}), ${repository.backups} in all`
  if (repository.copyOf !== null) {
    const { copier, lag } = repository
    const state = copier === null ? 'copier: ?' : copier === 'none' ? 'no copier' : describeLag(lag)
    return `${repository.name}: ${age} · ${state}`
  }
  const behind = tailBytes === null ? '' : ` (${describeBytes(tailBytes)} behind)`
  const tail =
    archiver === null
      ? `archiver: ?${behind}`
      : archiver === 'none'
        ? 'no archiver'
        : `WAL ${archiver.state}, oldest not stored ${describeElapsed(archiver.tailAgeMs)}${behind}`
  return `${repository.name}: ${age} · ${tail}`
}

function describeJob(job: StatusReport['jobs'][number], now: EpochMs): string {
  const { name, schedule, followsBackup, last } = job
  const next = describeNext(job, now)
  const when = next !== '' ? `next ${next}` : schedule === null && followsBackup ? 'after each backup' : 'off'
  const took = last === null ? '' : ` in ${describeElapsed(last.durationMs)}`
  return `${name}: ${job.running !== null || job.retry !== null ? next : when} · last ${describeLast(job, now)}${took}`
}

function field(name: string, text: string): string {
  return `${name.padEnd(11)}${text}`
}

/** The figure that counts: when a backup was last seen to be good, and how far that was looked at. */
function describeLastProven(repository: StatusReport['repositories'][number], now: EpochMs): string {
  if (!repository.readable) return 'last proven: ?'
  const { lastProven } = repository.proofs
  if (lastProven === null) return 'last proven: never'
  return `last proven at level ${lastProven.level} ${describeElapsed(now - lastProven.at)} ago`
}

/** The highest level with its backup, then each lower one that was proven since, and the keys. */
export function describeProofs({ lastProven, provenAt, lastKeyTest }: ProofReport, now: EpochMs): string {
  const parts: string[] = []
  if (lastProven === null) parts.push('nothing yet (`holdfast verify`)')
  else {
    const { level, at, backup, provenTime } = lastProven
    const until = provenTime === null ? '' : `, to ${new Date(provenTime).toISOString()}`
    parts.push(`level ${level} ${describeElapsed(now - at)} ago (${backup}${until})`)
    let shown = at
    for (let lower = level - 1; lower >= 0; lower -= 1) {
      const when = provenAt[lower]
      if (when === null || when === undefined || when <= shown) continue
      parts.push(`level ${lower} ${describeElapsed(now - when)} ago`)
      shown = when
    }
  }
  if (lastKeyTest === null) parts.push('keys never tested')
  else parts.push(`keys ${lastKeyTest.passed ? 'good' : 'NOT good'} ${describeElapsed(now - lastKeyTest.at)} ago`)
  return parts.join(' · ')
}
