import type { Config } from '../../config/schema.ts'
import type { BackupVerdict, CollectionPlan, Removal, RemovalKind } from '../../repository/core/collection.ts'
import { expireBackups } from '../../repository/expire-backups.ts'
import { describeBytes } from '../../std/byte-size.ts'
import { describeElapsed } from '../../std/duration.ts'
import { formatLsn } from '../../wal/core/lsn.ts'
import type { CommandContext } from '../command.ts'
import { chooseRepository, openConfiguredRepository } from '../open-configured.ts'
import { formatTable } from '../terminal/table.ts'
import { storedBytes } from './run-backup.ts'

interface Expiry {
  readonly repository: string
  readonly dryRun: boolean
  readonly plan: CollectionPlan
}

/** Expires what the configuration does not keep, in one repository after the other, and prints what went and why. */
export async function runExpire(
  config: Config,
  context: CommandContext,
  options: { readonly repository: string | undefined; readonly dryRun: boolean },
): Promise<'ok'> {
  const { clock, signal, output } = context
  const { dryRun } = options
  const chosen =
    options.repository === undefined && config.repositories.length > 0
      ? config.repositories
      : [chooseRepository(config, options.repository)]
  const expiries: Expiry[] = []
  for (const repository of chosen) {
    await using opened = await openConfiguredRepository(repository, context)
    try {
      const plan = await expireBackups(opened.repository, config.cluster, config.retention, {
        clock,
        signal,
        dryRun,
        onProgress: ({ done, total }) => output.progress(`removing ${done + 1} of ${total} objects`),
      })
      expiries.push({ repository: opened.name, dryRun, plan })
    } finally {
      output.progress('')
    }
  }
  if (context.json) output.printJson(expiries.map(expiryDocument))
  else output.print(expiries.map((expiry) => renderExpiry(expiry, clock.wall())).join('\n\n'))
  return 'ok'
}

function expiryDocument({ repository, dryRun, plan }: Expiry): object {
  return {
    repository,
    dryRun,
    backups: plan.verdicts.map((verdict) => ({
      id: verdict.backup,
      keep: verdict.keep,
      wal: verdict.wal,
      because: verdict.because,
      stoppedAt: new Date(verdict.commit.facts.stoppedAt).toISOString(),
      storedBytes: storedBytes(verdict.commit),
    })),
    removed: plan.removals,
    removedBytes: bytesOf(plan.removals),
    removedWal: plan.walRanges.map(({ timeline, startLsn, endLsn }) => {
      return { timeline, startLsn: formatLsn(startLsn), endLsn: formatLsn(endLsn) }
    }),
    keptPacks: plan.keptPacks,
    keptWal: plan.keptWal,
    deadSessions: plan.deadSessions,
    liveSessions: plan.liveSessions,
    interruptedSessions: plan.interruptedSessions,
  }
}

function renderExpiry({ repository, dryRun, plan }: Expiry, now: number): string {
  const going = plan.verdicts.filter(({ keep }) => !keep).length
  const [goes, stays] = dryRun ? ['would go', 'would stay'] : ['gone', 'stay']
  const rows = plan.verdicts.map((verdict) => verdictRow(verdict, now, dryRun))
  const lines = [`repository ${repository}: ${going} of ${plan.verdicts.length} backups ${goes}`]
  if (rows.length > 0) lines.push(formatTable(['backup', 'ended', 'stored', '', 'because'], rows, [2]))
  const packs = only(plan, 'pack', 'manifest')
  const wal = only(plan, 'segment', 'tail')
  lines.push(`backups: ${amount(packs)} ${goes}, ${amount(plan.keptPacks)} ${stays}`)
  lines.push(`WAL: ${amount(wal)} ${goes}, ${amount(plan.keptWal)} ${stays}`)
  for (const { timeline, startLsn, endLsn } of plan.walRanges) {
    lines.push(
      `  ${formatLsn(startLsn)} to ${formatLsn(endLsn)} of timeline ${timeline}: no backup that stays needs it`,
    )
  }
  for (const backup of plan.deadSessions) lines.push(`backup ${backup} was begun and never completed: ${goes}`)
  for (const backup of plan.liveSessions) {
    lines.push(`backup ${backup} is being taken, or has died less than three days ago: all WAL stays until it is done`)
  }
  for (const backup of plan.interruptedSessions) {
    lines.push(`backup ${backup} did not come to its end: what it has stored stays for the next backup, for three days`)
  }
  return lines.join('\n')
}

function verdictRow({ commit, keep, because }: BackupVerdict, now: number, dryRun: boolean): readonly string[] {
  const { backup, stoppedAt } = commit.facts
  const ended = `${describeElapsed(now - stoppedAt)} ago`
  const fate = keep ? 'stays' : dryRun ? 'would go' : 'gone'
  return [backup, ended, describeBytes(storedBytes(commit)), fate, because.join('; ')]
}

function only(plan: CollectionPlan, ...kinds: readonly RemovalKind[]): { count: number; sizeBytes: number } {
  const removals = plan.removals.filter(({ kind }) => kinds.includes(kind))
  return { count: removals.length, sizeBytes: bytesOf(removals) }
}

function bytesOf(removals: readonly Removal[]): number {
  return removals.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0)
}

function amount({ count, sizeBytes }: { readonly count: number; readonly sizeBytes: number }): string {
  return `${count === 1 ? '1 object' : `${count} objects`} (${describeBytes(sizeBytes)})`
}
