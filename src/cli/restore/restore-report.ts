import type { RestoreForecast } from '../../restore/core/forecast.ts'
import { describeRecoveryTarget } from '../../restore/core/target.ts'
import type { Room } from '../../restore/layout/room.ts'
import type { PlannedRestore } from '../../restore/plan-from-repository.ts'
import type { Recovered } from '../../restore/recover.ts'
import type { RestoreResult } from '../../restore/run-restore.ts'
import { describeBytes } from '../../std/byte-size.ts'
import { describeElapsed } from '../../std/duration.ts'
import type { Fault } from '../../std/fault.ts'
import { formatLsn } from '../../wal/core/lsn.ts'

/** A plan, and what else is to be known before it is carried out. */
export interface RestoreOutlook {
  readonly planned: PlannedRestore
  readonly forecast: RestoreForecast | undefined
  /** Empty while it is not known where to. */
  readonly rooms: readonly Room[]
  readonly unusablePacks: readonly Fault[]
  readonly tablespaces: readonly { readonly oid: number; readonly location: string }[]
}

export function outlookDocument(outlook: RestoreOutlook): object {
  const { plan, commit } = outlook.planned
  return {
    target: describeRecoveryTarget(plan.target),
    backup: plan.backup.id,
    backupStoppedAt: new Date(plan.backup.stopTimeMs).toISOString(),
    timeline: plan.timeline,
    path: plan.path.map(({ timeline }) => timeline),
    dataBytes: plan.backup.sizeBytes,
    storedBytes: storedBytes(outlook.planned),
    fileCount: commit.facts.fileCount,
    walBytes: plan.walBytes,
    walPieces: plan.wal.length,
    startLsn: formatLsn(plan.backup.startLsn),
    stopLsn: formatLsn(plan.backup.stopLsn),
    walEndLsn: formatLsn(plan.walEndLsn),
    gap: plan.gap === undefined ? null : { timeline: plan.gap.timeline, endLsn: formatLsn(plan.gap.endLsn) },
    tablespaces: outlook.tablespaces,
    damagedPages: commit.facts.damagedPages,
    forecast: outlook.forecast ?? null,
    rooms: outlook.rooms,
    unusablePacks: outlook.unusablePacks.map(({ details }) => details),
  }
}

export function describeOutlook(outlook: RestoreOutlook, now: number): string {
  const { plan, commit } = outlook.planned
  const { backup } = plan
  const path = plan.path.map(({ timeline }) => timeline).join(' → ')
  const wal = `${describeBytes(plan.walBytes)} in ${plan.wal.length} files, from ${formatLsn(backup.startLsn)} on timeline ${path}`
  const damaged = commit.facts.damagedPages
  return [
    `target    ${describeRecoveryTarget(plan.target)}`,
    `backup    ${backup.id}, ended ${describeElapsed(now - backup.stopTimeMs)} ago`,
    `data      ${describeBytes(backup.sizeBytes)} in ${commit.facts.fileCount} files, ${describeBytes(storedBytes(outlook.planned))} to fetch`,
    `wal       ${wal}; the archive reaches ${formatLsn(plan.walEndLsn)}`,
    ...outlook.tablespaces.map(({ oid, location }) => `tablespace ${oid}, was at ${location}`),
    ...outlook.rooms.map(describeRoom),
    `forecast  ${describeForecast(outlook.forecast, plan.walBytes)}`,
    ...(damaged.length === 0 ? [] : [`damaged   ${damaged.length} pages were damaged on the server already`]),
    ...(plan.gap === undefined
      ? []
      : [
          `missing   WAL up to ${formatLsn(plan.gap.endLsn)}; nothing beyond ${formatLsn(plan.walEndLsn)} can be reached`,
        ]),
    ...outlook.unusablePacks.slice(0, 5).map((fault) => `unusable  ${String(fault.details['object'])}`),
    ...(outlook.unusablePacks.length > 5 ? [`unusable  and ${outlook.unusablePacks.length - 5} more packs`] : []),
  ].join('\n')
}

function describeRoom({ directory, neededBytes, freeBytes }: Room): string {
  const short = neededBytes >= freeBytes ? ': NOT ENOUGH' : ''
  return `room      ${describeBytes(neededBytes)} needed at ${directory}, ${describeBytes(freeBytes)} free${short}`
}

function describeForecast(forecast: RestoreForecast | undefined, walBytes: number): string {
  if (forecast === undefined) return 'not known: nothing was restored on this machine yet; --plan measures'
  const { filesMs, recoveryMs, basis } = forecast
  const replay =
    recoveryMs === undefined
      ? `, and the replay of ${describeBytes(walBytes)} of WAL, which was not measured here yet`
      : ` and ${describeElapsed(recoveryMs)} for replay`
  return `about ${describeElapsed(filesMs)} for the files${replay} (${basis})`
}

function storedBytes({ commit }: PlannedRestore): number {
  return commit.facts.packs.reduce((sum, pack) => sum + pack.sizeBytes, commit.manifest.sizeBytes)
}

export interface RestoreOutcome {
  readonly planned: PlannedRestore
  readonly directory: string
  readonly postgres: string
  readonly superuser: string
  /** Undefined when the files were there from an earlier run. */
  readonly restored: RestoreResult | undefined
  readonly recovered: Pick<Recovered, 'stoppedAt' | 'elapsedMs' | 'tablespacesInPlace'>
  readonly action: 'promote' | 'shutdown'
  readonly adopt: boolean
}

export function describeOutcome(outcome: RestoreOutcome): string {
  const { directory, restored, recovered } = outcome
  const ended = recovered.stoppedAt === undefined ? '' : `, ended ${recovered.stoppedAt}`
  return [
    `restored to ${describeRecoveryTarget(outcome.planned.plan.target)} in ${directory}`,
    `  files ${describeFiles(restored)}, recovery ${describeElapsed(recovered.elapsedMs)}${ended}`,
    ...recovered.tablespacesInPlace.map(
      ({ oid, location }) =>
        `  tablespace ${oid} was created at ${location} after the backup; here it is in pg_tblspc/${oid}`,
    ),
    ...(outcome.adopt
      ? ['  start the agent of this node: it takes it over']
      : outcome.action === 'shutdown'
        ? ['  it is stopped at the target and not opened yet']
        : [
            '  it is stopped; it reaches nobody until you change its holdfast.conf. To look at it:',
            `    ${outcome.postgres} -D ${directory}    then: psql -h ${directory} -p 5432 -U ${outcome.superuser} postgres`,
          ]),
  ].join('\n')
}

function describeFiles(restored: RestoreResult | undefined): string {
  if (restored === undefined) return 'were there from an earlier run'
  const kept = restored.keptBytes === 0 ? '' : `, ${describeBytes(restored.keptBytes)} were right already`
  return `${describeBytes(restored.bytes)} in ${describeElapsed(restored.elapsedMs)}${kept}`
}
