import type { BackupContent } from '../repository/backup-session.ts'
import type { BackupOrigin } from '../repository/core/manifest.ts'
import { joinManifestLines } from '../repository/manifest-lines.ts'
import type { EpochMs } from '../std/clock.ts'
import type { CopiedDirectory } from './copy-data-directory.ts'
import { parseTablespaceMap } from './core/tablespace-map.ts'
import { pageBytes } from './page/checksum-page.ts'
import type { ServerFacts, StoppedBackup } from './server-session.ts'

/** A backup of which everything but the WAL is stored. */
export interface CopiedBackup {
  readonly facts: ServerFacts
  readonly origin: Omit<BackupOrigin, 'takenOver'>
  readonly copied: CopiedDirectory
  readonly stopped: StoppedBackup
  readonly startedAt: EpochMs
  readonly stoppedAt: EpochMs
}

/**
 * What a backup's manifest says, from what was copied and what the server gave when it ended. A suspect page is damaged
 * unless replay writes it anew: `rewritten` has the keys of those.
 */
export function describeBackup(
  { facts, origin, copied, stopped, startedAt, stoppedAt }: CopiedBackup,
  rewritten: ReadonlySet<string>,
  options: { readonly node?: string | undefined; readonly label?: string | undefined },
): { readonly content: BackupContent; readonly tornPages: number } {
  const { startLsn, stopLsn, timeline, from } = stopped
  const tablespaces = parseTablespaceMap(stopped.tablespaceMap)
  // Linked tablespaces that were created after the backup began are left out: replay makes them.
  const present = new Set(tablespaces.map(({ oid }) => oid))
  const isKept = (oid: number | undefined): boolean => oid === undefined || present.has(oid)
  const sections = copied.sections.filter(({ linkedTablespace }) => isKept(linkedTablespace))
  const lines = joinManifestLines(sections.map((section) => section.lines))
  const suspects = copied.suspects.filter(({ linkedTablespace }) => isKept(linkedTablespace))
  const damaged = suspects.filter((suspect) => !rewritten.has(suspect.blockKey))
  const content: BackupContent = {
    facts: {
      startedAt,
      stoppedAt,
      systemIdentifier: facts.systemIdentifier,
      postgresVersion: facts.postgresVersion,
      node: options.node ?? null,
      role: from,
      timeline,
      startLsn,
      stopLsn,
      walSegmentBytes: facts.walSegmentBytes,
      pageBytes,
      pageChecksums: facts.pageChecksums,
      damagedPages: damaged.map(({ path, page }) => ({ path, page })),
      labels: labelsOf(facts, copied, options.label),
      dataBytes: lines.dataBytes,
      packs: copied.packs,
    },
    backupLabel: stopped.backupLabel,
    tablespaceMap: stopped.tablespaceMap === '' ? null : stopped.tablespaceMap,
    tablespaces,
    origin: { ...origin, takenOver: copied.takenOver },
    chunkKey: copied.chunkKey,
    files: lines,
  }
  return { content, tornPages: suspects.length - damaged.length }
}

/** What a person who restores this elsewhere may need to know. */
function labelsOf(facts: ServerFacts, copied: CopiedDirectory, label: string | undefined): Record<string, string> {
  const all = {
    label: label ?? '',
    'collation-versions': facts.collationVersions.join(', '),
    'configuration-elsewhere': facts.configurationElsewhere.join(', '),
    'skipped-files': copied.skipped.join(', '),
  }
  return Object.fromEntries(Object.entries(all).filter(([, value]) => value !== ''))
}
