import { expireDumps } from '../../backup/dump/expire-dumps.ts'
import type { DumpExpiry } from '../../backup/dump/expire-dumps.ts'
import type { Config, RepositoryConfig } from '../../config/schema.ts'
import type { BackupVerdict, CollectionPlan, RemovalKind } from '../../repository/core/collection.ts'
import type { RetentionPolicy } from '../../repository/core/retention.ts'
import { expireBackups } from '../../repository/expire-backups.ts'
import { expireProofs } from '../../repository/proofs.ts'
import type { EpochMs } from '../../std/clock.ts'
import { describeBytes } from '../../std/byte-size.ts'
import { describeElapsed } from '../../std/duration.ts'
import { Fault } from '../../std/fault.ts'
import { formatLsn } from '../../wal/core/lsn.ts'
import type { CommandContext } from '../command.ts'
import { chooseRepository, openConfiguredRepository } from '../open-configured.ts'
import { formatTable } from '../terminal/table.ts'
import { storedBytes } from './run-backup.ts'

interface Expiry {
  readonly repository: string
  readonly dryRun: boolean
  readonly plan: CollectionPlan
  readonly dumps: DumpExpiry
  /** How many records of verifications are too old. */
  readonly proofs: number
}

const dayMs = 86_400_000

/** Expires what the configuration does not keep, in one repository after the other, and prints what went and why. */
export async function runExpire(
  config: Config,
  context: CommandContext,
  options: { readonly repository: string | undefined; readonly dryRun: boolean },
): Promise<'ok'> {
  const { clock, signal, output } = context
  const chosen =
    options.repository === undefined && config.repositories.length > 0
      ? config.repositories
      : [chooseRepository(config, options.repository)]
  const expiries: Expiry[] = []
  const failures: Fault[] = []
  for (const repository of chosen) {
    try {
      expiries.push(await expireOne(config, repository, context, options.dryRun))
    } catch (error) {
      // A copy that is gone must not keep the others from being tidied; the first is the one before them.
      if (!(error instanceof Fault) || signal.aborted || repository === config.repositories[0]) throw error
      failures.push(error)
    } finally {
      output.progress('')
    }
  }
  if (context.json) output.printJson(expiries.map(expiryDocument))
  else if (expiries.length > 0) {
    output.print(expiries.map((expiry) => renderExpiry(expiry, clock.wall())).join('\n\n'))
  }
  if (failures[0] !== undefined) throw failures[0]
  return 'ok'
}

/** A copy expires by its own rules, if it has some; and what the first repository has stays in it. */
async function expireOne(
  config: Config,
  repository: RepositoryConfig,
  context: CommandContext,
  dryRun: boolean,
): Promise<Expiry> {
  const { clock, signal, output } = context
  const [first] = config.repositories
  await using stack = new AsyncDisposableStack()
  const opened = stack.use(await openConfiguredRepository(repository, context))
  const isCopy = first !== undefined && first !== repository
  const firstOpened = isCopy ? stack.use(await openConfiguredRepository(first, context)) : undefined
  const rules = repository.retention ?? config.retention
  const how = {
    first: firstOpened?.repository,
    clock,
    signal,
    dryRun,
    onProgress: ({ done, total }: { readonly done: number; readonly total: number }) =>
      output.progress(`removing ${done + 1} of ${total} objects`),
  }
  const plan = await expireBackups(opened.repository, config.cluster, rules, how)
  const dumps = await expireDumps(opened.repository, config.cluster, dumpPolicy(rules), how)
  const olderThan = (clock.wall() - config.verification.keepDays * dayMs) as EpochMs
  const proofs = await expireProofs(opened.repository, { cluster: config.cluster, olderThan, dryRun }, { signal })
  return { repository: opened.name, dryRun, plan, dumps, proofs }
}

function expiryDocument({ repository, dryRun, plan, dumps, proofs }: Expiry): object {
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
    removedBytes: bytesOf(plan.removals) + bytesOf(dumps.removed),
    removedWal: plan.walRanges.map(({ timeline, startLsn, endLsn }) => {
      return { timeline, startLsn: formatLsn(startLsn), endLsn: formatLsn(endLsn) }
    }),
    keptPacks: plan.keptPacks,
    keptWal: plan.keptWal,
    removedProofs: proofs,
    dumps: dumps.verdicts.map(({ dump, keep, because }) => ({
      file: dump.file,
      database: dump.database,
      endedAt: new Date(dump.endedAt).toISOString(),
      sizeBytes: dump.sizeBytes,
      keep,
      because,
    })),
    removedDumpObjects: dumps.removed,
    damagedDumps: dumps.damaged,
    deadSessions: plan.deadSessions,
    liveSessions: plan.liveSessions,
    interruptedSessions: plan.interruptedSessions,
  }
}

function renderExpiry({ repository, dryRun, plan, dumps, proofs }: Expiry, now: number): string {
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
  if (proofs > 0) lines.push(`records of verifications: ${proofs} ${goes}`)
  for (const backup of plan.deadSessions) lines.push(`backup ${backup} was begun and never completed: ${goes}`)
  for (const backup of plan.liveSessions) {
    lines.push(`backup ${backup} is being taken, or has died less than three days ago: all WAL stays until it is done`)
  }
  for (const backup of plan.interruptedSessions) {
    lines.push(`backup ${backup} did not come to its end: what it has stored stays for the next backup, for three days`)
  }
  return [...lines, ...renderDumps(dumps, now, dryRun)].join('\n')
}

function verdictRow({ commit, keep, because }: BackupVerdict, now: number, dryRun: boolean): readonly string[] {
  const { backup, stoppedAt } = commit.facts
  const ended = `${describeElapsed(now - stoppedAt)} ago`
  return [backup, ended, describeBytes(storedBytes(commit)), fateOf(keep, dryRun), because.join('; ')]
}

function fateOf(keep: boolean, dryRun: boolean): string {
  return keep ? 'stays' : dryRun ? 'would go' : 'gone'
}

/** Nothing where there has never been a dump. */
function renderDumps(dumps: DumpExpiry, now: number, dryRun: boolean): readonly string[] {
  const { verdicts, damaged, leftovers, removed, kept } = dumps
  if (verdicts.length + damaged.length + leftovers.length === 0) return []
  const [goes, stay] = dryRun ? ['would go', 'would stay'] : ['gone', 'stay']
  const going = verdicts.filter(({ keep }) => !keep).length
  const lines = [`${going} of ${verdicts.length} dumps ${goes}`]
  const rows = verdicts.map(({ dump, keep, because }) => {
    const ended = `${describeElapsed(now - dump.endedAt)} ago`
    return [dump.file, ended, describeBytes(dump.sizeBytes), fateOf(keep, dryRun), because.join('; ')]
  })
  if (rows.length > 0) lines.push(formatTable(['dump', 'ended', 'size', '', 'because'], rows, [2]))
  lines.push(
    `dumps: ${amount({ count: removed.length, sizeBytes: bytesOf(removed) })} ${goes}, ${kept.count} (${describeBytes(kept.sizeBytes)}) ${stay}`,
  )
  for (const file of leftovers) lines.push(`dump ${file} is not complete, and nobody completes it any more: ${goes}`)
  for (const { file, because } of damaged)
    lines.push(`! dump ${file} stays, since nobody can tell how old it is: ${because}`)
  return lines
}

/** The rules for dumps: their own where the configuration has some, else those of backups. */
function dumpPolicy({ dumps, ...policy }: Config['retention']): RetentionPolicy {
  const own = Object.entries(dumps).filter(([, amount]) => amount !== undefined)
  return { ...policy, ...Object.fromEntries(own) }
}

function only(plan: CollectionPlan, ...kinds: readonly RemovalKind[]): { count: number; sizeBytes: number } {
  const removals = plan.removals.filter(({ kind }) => kinds.includes(kind))
  return { count: removals.length, sizeBytes: bytesOf(removals) }
}

function bytesOf(removals: readonly { readonly sizeBytes: number }[]): number {
  return removals.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0)
}

function amount({ count, sizeBytes }: { readonly count: number; readonly sizeBytes: number }): string {
  return `${count === 1 ? '1 object' : `${count} objects`} (${describeBytes(sizeBytes)})`
}
