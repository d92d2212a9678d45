import type { Config } from '../../config/schema.ts'
import { listBackups } from '../../repository/catalogue.ts'
import type { Commit } from '../../repository/core/commit.ts'
import type { GapRecord } from '../../repository/core/gap-record.ts'
import { readGaps } from '../../repository/gaps.ts'
import { summarizeProofs } from '../../repository/proofs.ts'
import type { Repository } from '../../repository/repository.ts'
import { verifyBackup } from '../../repository/verify.ts'
import { windowFromRepository } from '../../restore/plan-from-repository.ts'
import { describeBytes } from '../../std/byte-size.ts'
import type { EpochMs } from '../../std/clock.ts'
import { describeElapsed } from '../../std/duration.ts'
import { Fault } from '../../std/fault.ts'
import { formatLsn } from '../../wal/core/lsn.ts'
import type { CommandContext } from '../command.ts'
import { chooseRepository, openConfiguredRepository } from '../open-configured.ts'
import { openProgressLine } from '../terminal/progress-line.ts'
import { describeProofs } from '../status/render-status.ts'
import { proofReport } from '../status/repository-report.ts'
import type { ProofReport } from '../status/core/status-report.ts'
import { formatTable } from '../terminal/table.ts'
import { backupRow, storedBytes } from './run-backup.ts'

/** What one repository holds of the cluster. */
interface Listing {
  readonly repository: string
  readonly backups: readonly Commit[]
  /** Id and reason of everything that is wrong. */
  readonly damaged: readonly { readonly backup: string; readonly because: string }[]
  readonly verified: boolean
  readonly window: Window | null
  /** WAL on record as lost: no moment within one can be restored. */
  readonly gaps: readonly GapRecord[]
  readonly proofs: ProofReport
}

/** From when to where a restore is possible without a hole; null where it is not possible at all, with the reason. */
interface Window {
  readonly from: string
  readonly toLsn: string | null
  readonly timeline: number | null
  readonly because: string | null
}

export async function runBackups(
  config: Config,
  context: CommandContext,
  options: { readonly repository: string | undefined; readonly verify: boolean },
): Promise<'ok' | 'notFound' | 'integrity' | 'unreachable'> {
  const { output } = context
  const chosen =
    options.repository === undefined && config.repositories.length > 0
      ? config.repositories
      : [chooseRepository(config, options.repository)]
  const listings: Listing[] = []
  const unreadable: Unreadable[] = []
  for (const repository of chosen) {
    try {
      await using opened = await openConfiguredRepository(repository, context)
      listings.push(await readListing(opened.name, opened.repository, config, options.verify, context))
    } catch (error) {
      // Where another place has the same, what is wrong with one of them must not hide it.
      if (!(error instanceof Fault) || chosen.length === 1 || context.signal.aborted) throw error
      unreadable.push({ repository: repository.name, fault: error })
    }
  }
  const [failed] = unreadable
  if (failed !== undefined && listings.length === 0) throw failed.fault
  if (context.json) output.printJson([...listings.map(listingDocument), ...unreadable.map(unreadableDocument)])
  else {
    const texts = [
      ...listings.map((listing) => renderListing(listing, context.clock.wall())),
      ...unreadable.map(({ repository, fault }) => `repository ${repository}: ${fault.message}\n    ${fault.hint}`),
    ]
    output.print(texts.join('\n\n'))
  }
  if (listings.some(({ damaged, window }) => damaged.length > 0 || window?.because)) return 'integrity'
  if (unreadable.length > 0) return 'unreachable'
  return listings.every(({ backups }) => backups.length === 0) ? 'notFound' : 'ok'
}

/** One of several repositories, which cannot be read. */
interface Unreadable {
  readonly repository: string
  readonly fault: Fault
}

function unreadableDocument({ repository, fault }: Unreadable): object {
  return { repository, error: fault.toJSON() }
}

async function readListing(
  name: string,
  repository: Repository,
  { cluster }: Config,
  verify: boolean,
  { signal, output, clock }: CommandContext,
): Promise<Listing> {
  const { backups, damaged } = await listBackups(repository, cluster, { signal })
  const bad = damaged.map(({ backup, fault }) => ({ backup, because: fault.message }))
  if (verify) {
    for (const [index, commit] of backups.entries()) {
      const { backup } = commit.facts
      const line = openProgressLine(clock)
      const what = `verifying ${backup} (${index + 1} of ${backups.length})`
      const result = await verifyBackup(repository, commit, {
        signal,
        onProgress: ({ checkedBytes, totalBytes }) => output.progress(line(checkedBytes, totalBytes, what)),
      })
      for (const fault of result.bad) bad.push({ backup, because: fault.message })
    }
    output.progress('')
  }
  const window = backups[0] === undefined ? null : await readWindow(repository, cluster, backups[0], signal)
  const gaps = await readGaps(repository, cluster, { signal })
  const proofs = proofReport(await summarizeProofs(repository, { cluster, place: name }, { signal }))
  return { repository: name, backups, damaged: bad, verified: verify, window, gaps, proofs }
}

async function readWindow(
  repository: Repository,
  cluster: string,
  oldest: Commit,
  signal: AbortSignal,
): Promise<Window> {
  try {
    const { oldest: first, plan } = await windowFromRepository(repository, cluster, { signal })
    const from = new Date(first.facts.stoppedAt).toISOString()
    return { from, toLsn: formatLsn(plan.walEndLsn), timeline: plan.timeline, because: null }
  } catch (error) {
    if (!(error instanceof Fault)) throw error
    const from = new Date(oldest.facts.stoppedAt).toISOString()
    return { from, toLsn: null, timeline: null, because: error.message }
  }
}

function listingDocument(listing: Listing): object {
  const gaps = listing.gaps.map(({ startLsn, endLsn, ...gap }) => {
    return { ...gap, startLsn: formatLsn(startLsn), endLsn: formatLsn(endLsn) }
  })
  return { ...listing, gaps, backups: listing.backups.map(backupRow) }
}

function renderListing(
  { repository, backups, damaged, verified, window, gaps, proofs }: Listing,
  now: EpochMs,
): string {
  const header = ['backup', 'kind', 'ended', 'took', 'data', 'stored', 'node', 'timeline', 'from', 'to', 'label']
  const rows = backups.map((commit) => {
    const { facts } = commit
    return [
      facts.backup,
      facts.kind,
      facts.stoppedAt > now ? 'later than now' : `${describeElapsed(now - facts.stoppedAt)} ago`,
      // The clock was set back in between.
      facts.stoppedAt < facts.startedAt ? '?' : describeElapsed(facts.stoppedAt - facts.startedAt),
      describeBytes(facts.dataBytes),
      describeBytes(storedBytes(commit)),
      facts.node ?? '?',
      String(facts.timeline),
      formatLsn(facts.startLsn),
      formatLsn(facts.stopLsn),
      facts.labels['label'] ?? '',
    ]
  })
  const amount = backups.length === 0 ? 'no backup' : String(backups.length)
  const intact = damaged.length === 0 ? ', every object verified' : ', NOT every object is good'
  const lines = [`repository ${repository}: ${amount}${verified ? intact : ''}`]
  lines.push(`last proven: ${describeProofs(proofs, now)}`)
  if (rows.length > 0) lines.push(formatTable(header, rows, [3, 4, 5, 7]))
  for (const { backup, because } of damaged) lines.push(`! ${backup}: ${because}`)
  if (window?.toLsn)
    lines.push(
      `can be restored: ${window.from} to the end of the archive at ${window.toLsn}, timeline ${window.timeline}`,
    )
  if (window?.because) lines.push(`! ${window.because}`)
  for (const { timeline, startLsn, endLsn, because } of gaps) {
    lines.push(`! WAL from ${formatLsn(startLsn)} to ${formatLsn(endLsn)} of timeline ${timeline} is lost: ${because}`)
  }
  return lines.join('\n')
}
