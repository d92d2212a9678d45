import { formatLsn } from '../../wal/core/lsn.ts'
import type { Lsn, TimelineId } from '../../wal/core/lsn.ts'
import type { TimelineStretch } from '../../wal/core/timeline-history.ts'
import type { Catalogue, CatalogueBackup } from './catalogue.ts'
import { formatMicros } from './target.ts'
import type { RecoveryTarget, TargetTimeline } from './target.ts'
import { isOnPath, knownTimelines, pathTo } from './timeline-path.ts'
import { walkWal } from './wal-walk.ts'
import type { WalGap, WalPiece, WalWalk } from './wal-walk.ts'

/**
 * Decides, before a byte is fetched, how a target is reached: from which backup, over which timelines, with which WAL.
 * Recovery is later given exactly this WAL: a file the plan does not name is "not there", a file it names must come.
 *
 * Which moment a position belongs to is known only to the WAL itself. So for a time, a transaction or a restore point the
 * plan holds all WAL up to the first hole or the end, and PostgreSQL refuses to open the database when it did not meet
 * the target by then.
 */
export function planRestore(catalogue: Catalogue, request: RestoreRequest): PlanOutcome {
  if (catalogue.backups.length === 0) {
    return refuse('no-backups', 'the repository holds no backup of this cluster')
  }
  if (request.backupId !== undefined && !catalogue.backups.some((backup) => backup.id === request.backupId)) {
    return refuse('unknown-backup', `there is no backup ${request.backupId}`)
  }
  const way = chooseWay(catalogue, request)
  if ('refusal' in way) return way
  const backup = chooseBackup(way.candidates, request)
  if ('refusal' in backup) return backup
  const path = way.path ?? pathTo(catalogue, backup.timeline)
  if (path === undefined) return refuseUnknownHistory(backup.timeline)
  return planWal(catalogue, request.target, backup, path)
}

export interface RestoreRequest {
  readonly target: RecoveryTarget
  readonly timeline: TargetTimeline
  /** A backup that the operator insists on; otherwise the newest that ended before the target. */
  readonly backupId?: string | undefined
}

export interface RestorePlan {
  readonly backup: CatalogueBackup
  readonly target: RecoveryTarget
  readonly timeline: TimelineId
  readonly segmentBytes: number
  /** Timelines from the backup's to the target's, oldest first. */
  readonly path: readonly TimelineStretch[]
  readonly wal: readonly WalPiece[]
  /** Where the planned WAL ends. */
  readonly walEndLsn: Lsn
  /** WAL that is missing right after `walEndLsn` although later WAL is stored: nothing beyond it can be reached. */
  readonly gap: WalGap | undefined
  /** Bytes of WAL that recovery will read at most (at least, where the target is a position). */
  readonly walBytes: number
}

export type RefusalKind =
  | 'no-backups'
  | 'unknown-backup'
  | 'unknown-timeline'
  | 'unknown-history'
  | 'before-oldest-backup'
  | 'after-last-wal'
  | 'wal-gap'

export interface Refusal {
  readonly kind: RefusalKind
  /** What stands in the way, to follow "Cannot restore to …: ". */
  readonly reason: string
}

export type PlanOutcome = { readonly plan: RestorePlan } | { readonly refusal: Refusal }

type Refused = { readonly refusal: Refusal }

function refuse(kind: RefusalKind, reason: string): Refused {
  return { refusal: { kind, reason } }
}

function refuseUnknownHistory(timeline: TimelineId): Refused {
  return refuse('unknown-history', `the history file of timeline ${timeline} is not in the repository`)
}

/** The path, where the request fixes one, and the backups that lie on it. */
interface Way {
  readonly path: readonly TimelineStretch[] | undefined
  readonly candidates: readonly CatalogueBackup[]
}

function chooseWay(catalogue: Catalogue, request: RestoreRequest): Way | Refused {
  const wanted =
    request.backupId === undefined
      ? catalogue.backups
      : catalogue.backups.filter((backup) => backup.id === request.backupId)
  if (request.timeline === 'current') return { path: undefined, candidates: wanted }
  if (request.timeline !== 'latest') return chooseTimeline(catalogue, request.timeline, wanted)
  const known = knownTimelines(catalogue)
  if (request.backupId === undefined) return chooseTimeline(catalogue, known[0] as TimelineId, wanted)
  let outcome: Way | Refused = refuse('unknown-timeline', 'no timeline contains this backup')
  for (const timeline of known) {
    outcome = chooseTimeline(catalogue, timeline, wanted)
    if (!('refusal' in outcome) || outcome.refusal.kind === 'unknown-history') return outcome
  }
  return outcome
}

function chooseTimeline(catalogue: Catalogue, timeline: TimelineId, wanted: readonly CatalogueBackup[]): Way | Refused {
  if (!knownTimelines(catalogue).includes(timeline)) {
    return refuse('unknown-timeline', `the repository knows no timeline ${timeline}`)
  }
  const path = pathTo(catalogue, timeline)
  if (path === undefined) return refuseUnknownHistory(timeline)
  const candidates = wanted.filter((backup) => isOnPath(backup, path))
  if (candidates.length > 0) return { path, candidates }
  return refuse('before-oldest-backup', `no backup lies on the way to timeline ${timeline}`)
}

function chooseBackup(candidates: readonly CatalogueBackup[], request: RestoreRequest): CatalogueBackup | Refused {
  const ordered = candidates.toSorted(
    (left, right) => left.timeline - right.timeline || compare(left.stopLsn, right.stopLsn),
  )
  const reachable = ordered.filter((backup) => endedBefore(backup, request.target))
  const newest = reachable.at(-1)
  if (newest !== undefined) return newest
  const oldest = ordered.toSorted((left, right) => left.stopTimeMs - right.stopTimeMs)[0] as CatalogueBackup
  const end = `${formatMicros(BigInt(oldest.stopTimeMs) * 1000n)} (position ${formatLsn(oldest.stopLsn)})`
  return refuse(
    'before-oldest-backup',
    request.backupId === undefined
      ? `the oldest backup that could lead there, ${oldest.id}, ended only at ${end}`
      : `backup ${oldest.id} ended only at ${end}`,
  )
}

/** Whether a backup is known to be consistent before the target. Of a transaction or a restore point nothing is known. */
function endedBefore(backup: CatalogueBackup, target: RecoveryTarget): boolean {
  if (target.kind === 'lsn') return backup.stopLsn <= target.lsn
  if (target.kind === 'time') return BigInt(backup.stopTimeMs) * 1000n <= target.epochMicros
  return true
}

function planWal(
  catalogue: Catalogue,
  target: RecoveryTarget,
  backup: CatalogueBackup,
  wholePath: readonly TimelineStretch[],
): PlanOutcome {
  const path = wholePath.slice(wholePath.findIndex((entry) => entry.timeline === backup.timeline))
  const walk = walkWal(catalogue, path, backup.startLsn)
  const refusal = checkReach(walk, target, backup)
  if (refusal !== undefined) return refusal
  const readUpTo = target.kind === 'lsn' ? target.lsn : target.kind === 'immediate' ? backup.stopLsn : walk.endLsn
  const timeline = (path.at(-1) as TimelineStretch).timeline
  return {
    plan: {
      backup,
      target,
      timeline,
      segmentBytes: catalogue.segmentBytes,
      path,
      wal: walk.pieces,
      walEndLsn: walk.endLsn,
      gap: walk.gap,
      walBytes: Number(readUpTo - backup.startLsn),
    },
  }
}

function checkReach(walk: WalWalk, target: RecoveryTarget, backup: CatalogueBackup): Refused | undefined {
  if (walk.endLsn < backup.stopLsn) {
    return refuse('wal-gap', `backup ${backup.id} needs WAL up to ${formatLsn(backup.stopLsn)}, but ${missing(walk)}`)
  }
  if (target.kind === 'lsn' && target.lsn >= walk.endLsn) {
    if (walk.gap !== undefined) return refuse('wal-gap', missing(walk))
    return refuse('after-last-wal', `the archived WAL ends at ${formatLsn(walk.endLsn)}; the target must lie before it`)
  }
  if (target.kind === 'latest' && walk.gap !== undefined) return refuse('wal-gap', missing(walk))
  return undefined
}

function missing(walk: WalWalk): string {
  const from = formatLsn(walk.endLsn)
  if (walk.gap === undefined) return `the archived WAL ends at ${from}`
  const range = `the WAL from ${from} to ${formatLsn(walk.gap.endLsn)} (timeline ${walk.gap.timeline})`
  return `${range} is missing in the repository${recorded(walk.gap)}`
}

function recorded({ record }: WalGap): string {
  if (record === undefined) return ''
  const since = record.foundAt === null ? '' : `, as was found out at ${new Date(record.foundAt).toISOString()}`
  return `${since}: ${record.because}`
}

function compare(left: bigint, right: bigint): number {
  return left < right ? -1 : left > right ? 1 : 0
}
