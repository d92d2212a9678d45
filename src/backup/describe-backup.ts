import type { BackupContent } from '../repository/backup-session.ts'
import type { BackupOrigin, ManifestFile, Tablespace } from '../repository/core/manifest.ts'
import type { EpochMs } from '../std/clock.ts'
import type { CopiedDirectory } from './copy-data-directory.ts'
import { totalBytes } from './core/assemble-files.ts'
import { parseTablespaceMap, tablespaceOf } from './core/tablespace-map.ts'
import { pageBytes } from './page/checksum-page.ts'
import type { ServerFacts, StoppedBackup } from './server-session.ts'

/** A backup of which everything but the WAL is stored. */
export interface CopiedBackup {
  readonly facts: ServerFacts
  readonly origin: BackupOrigin
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
): {
  readonly content: BackupContent & { readonly files: readonly ManifestFile[] }
  readonly tornPages: number
} {
  const { startLsn, stopLsn, timeline, from } = stopped
  const tablespaces = parseTablespaceMap(stopped.tablespaceMap)
  const kept = withoutLaterTablespaces(copied, tablespaces)
  const directories = copied.listing.directories.filter(({ path }) => kept(path))
  const files = [
    ...directories.map(({ path, mode }) => ({ kind: 'directory', path, mode }) as const),
    ...copied.files.filter(({ path }) => kept(path)),
  ]
  const suspects = copied.suspects.filter(({ file }) => kept(file.path))
  const damaged = suspects.filter((suspect) => !rewritten.has(suspect.blockKey))
  const content = {
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
      damagedPages: damaged.map(({ file, page }) => ({ path: file.path, page })),
      labels: labelsOf(facts, copied, options.label),
      dataBytes: totalBytes(files),
      packs: copied.packs,
    },
    backupLabel: stopped.backupLabel,
    tablespaceMap: stopped.tablespaceMap === '' ? null : stopped.tablespaceMap,
    tablespaces,
    origin,
    chunkKey: copied.chunkKey,
    files,
  }
  return { content, tornPages: suspects.length - damaged.length }
}

/** Leaves out linked tablespaces that were created after the backup began: replay makes them. */
function withoutLaterTablespaces(
  copied: CopiedDirectory,
  tablespaces: readonly Tablespace[],
): (path: string) => boolean {
  const present = new Set(tablespaces.map(({ oid }) => oid))
  const later = new Set(copied.listing.linkedTablespaces.filter((oid) => !present.has(oid)))
  return (path) => {
    const oid = tablespaceOf(path)
    return oid === undefined || !later.has(oid)
  }
}

/** What a person who restores this elsewhere may need to know. */
function labelsOf(facts: ServerFacts, copied: CopiedDirectory, label: string | undefined): Record<string, string> {
  const all = {
    label: label ?? '',
    'collation-versions': facts.collationVersions.join(', '),
    'configuration-elsewhere': facts.configurationElsewhere.join(', '),
    'skipped-files': copied.listing.skipped.join(', '),
  }
  return Object.fromEntries(Object.entries(all).filter(([, value]) => value !== ''))
}
