import type { Commit } from '../repository/core/commit.ts'
import { segmentStart } from '../repository/core/object-names.ts'
import { objectFault } from '../repository/damage.ts'
import { historyObject } from '../repository/core/object-names.ts'
import { listBackups } from '../repository/catalogue.ts'
import { readGaps } from '../repository/gaps.ts'
import type { BackupCatalogue } from '../repository/catalogue.ts'
import type { Repository } from '../repository/repository.ts'
import { readHistory, walInventory } from '../repository/wal-objects.ts'
import { Fault } from '../std/fault.ts'
import type { TimelineId } from '../wal/core/lsn.ts'
import { firstTimelineHistory, parseTimelineHistory } from '../wal/core/timeline-history.ts'
import type { TimelineHistory } from '../wal/core/timeline-history.ts'
import { defaultSegmentBytes } from '../wal/core/segment.ts'
import type { Catalogue, CatalogueTimeline } from './core/catalogue.ts'
import { planRestore } from './core/plan.ts'
import type { Refusal, RefusalKind, RestorePlan, RestoreRequest } from './core/plan.ts'
import { describeRecoveryTarget } from './core/target.ts'
import type { WalGap } from './core/wal-walk.ts'
import { restoreFaults } from './faults.ts'

/** A plan together with the commit of its backup, which says where everything is. */
export interface PlannedRestore {
  readonly cluster: string
  readonly plan: RestorePlan
  readonly commit: Commit
  /** Every timeline whose history file is stored: recovery gets all of them, so that a new timeline takes a free number. */
  readonly histories: readonly TimelineId[]
}

/**
 * Plans a restore from what the repository holds now. Throws the fault that says why the target cannot be reached, and
 * `repository-object-damaged` when the wanted backup or a history file cannot be read.
 */
export async function planFromRepository(
  repository: Repository,
  cluster: string,
  request: RestoreRequest,
  options: { readonly signal?: AbortSignal | undefined } = {},
): Promise<PlannedRestore> {
  const listed = await listBackups(repository, cluster, options)
  const wanted = listed.damaged.find(({ backup }) => backup === request.backupId)
  if (wanted !== undefined) throw wanted.fault
  const { catalogue, histories } = await loadCatalogue(repository, cluster, listed, options)
  const outcome = planRestore(catalogue, request)
  if ('refusal' in outcome) throw refusalFault(outcome.refusal, request, listed)
  const commit = listed.backups.find(({ facts }) => facts.backup === outcome.plan.backup.id)
  if (commit === undefined) throw new Error(`backup ${outcome.plan.backup.id} is planned but not listed`)
  return { cluster, plan: outcome.plan, commit, histories }
}

/** From which backup on every moment can be restored, and the plan to the end of the archive. */
export interface RestoreWindow {
  readonly oldest: Commit
  readonly plan: RestorePlan
}

/**
 * The stretch without a hole that ends where the archive ends. Backups before it may be listed: those that were kept
 * without the WAL after them. Throws as {@link planFromRepository} does when the end cannot be reached at all.
 */
export async function windowFromRepository(
  repository: Repository,
  cluster: string,
  options: { readonly signal?: AbortSignal | undefined } = {},
): Promise<RestoreWindow> {
  const listed = await listBackups(repository, cluster, options)
  const { catalogue } = await loadCatalogue(repository, cluster, listed, options)
  const request = { target: { kind: 'latest' }, timeline: 'latest' } as const
  const outcome = planRestore(catalogue, request)
  if ('refusal' in outcome) throw refusalFault(outcome.refusal, request, listed)
  const { plan } = outcome
  const oldest = listed.backups.find(({ facts }) => {
    const from = planRestore(catalogue, { ...request, timeline: plan.timeline, backupId: facts.backup })
    return 'plan' in from && from.plan.walEndLsn === plan.walEndLsn
  })
  if (oldest === undefined) throw new Error(`backup ${plan.backup.id} is planned but not listed`)
  return { oldest, plan }
}

/**
 * The holes in the WAL behind some backups, each once: moments in them, and after them up to the next backup, cannot be
 * restored. A backup whose own WAL is not whole gives none here: it restores nothing at all.
 */
export async function holesBehind(
  repository: Repository,
  cluster: string,
  backups: readonly string[],
  options: { readonly signal?: AbortSignal | undefined } = {},
): Promise<readonly WalGap[]> {
  const listed = await listBackups(repository, cluster, options)
  const { catalogue } = await loadCatalogue(repository, cluster, listed, options)
  const holes = new Map<string, WalGap>()
  for (const backupId of backups) {
    const outcome = planRestore(catalogue, { target: { kind: 'immediate' }, timeline: 'latest', backupId })
    const gap = 'plan' in outcome ? outcome.plan.gap : undefined
    if (gap !== undefined) holes.set(`${gap.timeline} ${gap.startLsn} ${gap.endLsn}`, gap)
  }
  return [...holes.values()]
}

/** Everything that planning depends on, as it is in the repository now. */
export async function loadCatalogue(
  repository: Repository,
  cluster: string,
  { backups }: BackupCatalogue,
  options: { readonly signal?: AbortSignal | undefined },
): Promise<{ readonly catalogue: Catalogue; readonly histories: readonly TimelineId[] }> {
  const inventory = await walInventory(repository, cluster, options)
  const segmentBytes = backups.at(-1)?.facts.walSegmentBytes ?? defaultSegmentBytes
  const ids = new Set([
    ...inventory.histories,
    ...[...inventory.segments, ...inventory.tails].map((wal) => wal.timeline),
  ])
  const timelines: CatalogueTimeline[] = []
  for (const timeline of ids) {
    const known = inventory.histories.includes(timeline)
    timelines.push({
      timeline,
      history: known
        ? await loadHistory(repository, cluster, timeline, options)
        : timeline === 1
          ? firstTimelineHistory()
          : undefined,
      segments: inventory.segments
        .filter((segment) => segment.timeline === timeline)
        .map(({ name }) => segmentStart(name, segmentBytes)),
      tails: inventory.tails.filter((tail) => tail.timeline === timeline),
    })
  }
  const catalogue: Catalogue = {
    segmentBytes,
    backups: backups.map(({ facts }) => ({
      id: facts.backup,
      timeline: facts.timeline,
      startLsn: facts.startLsn,
      stopLsn: facts.stopLsn,
      stopTimeMs: facts.stoppedAt,
      sizeBytes: facts.dataBytes,
    })),
    timelines,
    gaps: await readGaps(repository, cluster, options),
  }
  return { catalogue, histories: inventory.histories }
}

async function loadHistory(
  repository: Repository,
  cluster: string,
  timeline: TimelineId,
  options: { readonly signal?: AbortSignal | undefined },
): Promise<TimelineHistory> {
  const bytes = await readHistory(repository, { cluster, timeline }, options)
  const parsed = parseTimelineHistory(timeline, Buffer.from(bytes).toString('utf8'))
  if ('history' in parsed) return parsed.history
  throw objectFault(historyObject(cluster, timeline), 'altered', parsed.malformed)
}

const faultOf: Readonly<Record<RefusalKind, keyof typeof restoreFaults>> = {
  'no-backups': 'restore-no-backup',
  'unknown-backup': 'restore-no-backup',
  'unknown-timeline': 'restore-timeline-unknown',
  'unknown-history': 'restore-timeline-unknown',
  'before-oldest-backup': 'restore-target-too-early',
  'after-last-wal': 'restore-target-too-late',
  'wal-gap': 'restore-wal-gap',
}

function refusalFault(refusal: Refusal, request: RestoreRequest, { damaged }: BackupCatalogue): Fault {
  const target = describeRecoveryTarget(request.target)
  const unreadable = damaged.map(({ backup }) => backup)
  const also =
    unreadable.length === 0 ? '' : ` (not counted, because their commit is damaged: ${unreadable.join(', ')})`
  return new Fault(restoreFaults[faultOf[refusal.kind]], `Cannot restore to ${target}: ${refusal.reason}${also}`, {
    details: { target, timeline: String(request.timeline), damagedBackups: unreadable },
  })
}
