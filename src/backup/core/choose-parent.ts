import type { BackupFacts } from '../../repository/core/backup-facts.ts'
import type { Lsn } from '../../wal/core/lsn.ts'
import { containsPosition, type TimelineHistory } from '../../wal/core/timeline-history.ts'

/** The server to back up, as far as it matters for which earlier backups its pages go on from. */
export interface ServerLineage {
  readonly systemIdentifier: bigint
  readonly postgresVersion: number
  readonly pageChecksums: boolean
  /** Of the timeline that it writes. */
  readonly history: TimelineHistory
  /** How far it has written. */
  readonly lsn: Lsn
}

/** Why a backup is a full one. */
export type FullReason =
  /** It was asked for. */
  | 'wanted'
  | 'first-of-cluster'
  /** Every earlier backup has WAL that is not in this server's history, or is of another major version. */
  | 'no-ancestor'
  /** Page checksums were turned on or off since. */
  | 'checksums-changed'
  /** What the parent consists of cannot be read, or is not there any more. */
  | 'parent-damaged'
  /** The parent is being removed by an expiry at this moment. */
  | 'parent-expiring'

/**
 * The backup that an incremental one goes on from: the newest all of whose pages are part of this server's past. A
 * backup may have read pages with changes up to its stop LSN, so that is what must lie before any fork.
 */
export function chooseParent<Backup extends { readonly facts: BackupFacts }>(
  backups: readonly Backup[],
  server: ServerLineage,
): { readonly parent: Backup } | { readonly full: FullReason } {
  if (backups.length === 0) return { full: 'first-of-cluster' }
  const ancestors = backups.filter(({ facts }) => isAncestor(facts, server))
  const parent = ancestors
    .filter(({ facts }) => facts.pageChecksums === server.pageChecksums)
    .reduce<Backup | undefined>((newest, each) => (isLater(each, newest) ? each : newest), undefined)
  if (parent === undefined) return { full: ancestors.length === 0 ? 'no-ancestor' : 'checksums-changed' }
  // A later one in the other state tells that all pages were rewritten since.
  const rewritten = ancestors.some((each) => isLater(each, parent) && each !== parent)
  return rewritten ? { full: 'checksums-changed' } : { parent }
}

function isAncestor(facts: BackupFacts, server: ServerLineage): boolean {
  return (
    facts.systemIdentifier === server.systemIdentifier &&
    major(facts.postgresVersion) === major(server.postgresVersion) &&
    facts.stopLsn <= server.lsn &&
    containsPosition(server.history, { timeline: facts.timeline, lsn: facts.stopLsn })
  )
}

function isLater<Backup extends { readonly facts: BackupFacts }>(a: Backup, b: Backup | undefined): boolean {
  return b === undefined || a.facts.startLsn >= b.facts.startLsn
}

function major(version: number): number {
  return Math.floor(version / 10_000)
}
