import type { BackupFacts } from '../../repository/core/backup-facts.ts'
import type { ManifestFile, ManifestHead, PageFile, WholeFile } from '../../repository/core/manifest.ts'
import { backupOfPack } from '../../repository/core/object-names.ts'
import type { EarlierPages } from './select-pages.ts'
import { isFragmented } from './fragmentation.ts'
import { findInOrder } from './parent-files.ts'
import { parseRelationFile } from './relation-file.ts'

/** What an incremental backup goes on from. */
export interface Parent {
  readonly manifest: ManifestHead & { readonly files: () => Iterable<ManifestFile> }
  /** Whether identities of files in the manifest mean the same here: files with the same one were not written to. */
  readonly sameIncarnation: boolean
  /** By oid: what {@link Manifest.origin} says of databases, asked after the present backup began. */
  readonly databases: Readonly<Record<string, string>>
}

/** A file as it was listed now. */
export interface FileNow {
  readonly path: string
  readonly kind: 'page' | 'whole'
  readonly sizeBytes: number
  readonly identity: string
}

export type Sharing =
  /** Nothing of the parent's. */
  | { readonly kind: 'none' }
  /** All of it, unread. */
  | { readonly kind: 'all'; readonly file: PageFile | WholeFile }
  /** The pages that did not change. */
  | { readonly kind: 'pages'; readonly file: PageFile; readonly earlier: EarlierPages }

const nothing: Sharing = { kind: 'none' }

/**
 * Decides for each file, in the order of a walk, what it shares with the parent. A page that has not changed since the parent began has an LSN
 * from before; that holds only where every change of a page has an LSN. Without page checksums it does not: setting
 * `PD_ALL_VISIBLE` gives no LSN, and the visibility map, which is always stored whole, would not fit a page without it.
 */
export function shareFiles(parent: Parent): (file: FileNow) => Sharing {
  const { facts } = parent.manifest
  const fileAt = findInOrder(parent.manifest.files())
  const damaged = damagedByPath(facts)
  const sameDatabase = databaseFilter(parent)
  const takenOver = parent.manifest.origin?.takenOver ?? {}
  const backupOf = (pack: number): string => {
    const backup = backupOfPack(facts.packs[pack]?.key ?? '')
    return takenOver[backup] ?? backup
  }
  return (now) => {
    const file = fileAt(now.path)
    if (file === undefined || (file.kind === 'pages') !== (now.kind === 'page')) return nothing
    const damagedPages = damaged.get(now.path) ?? []
    if (file.kind === 'pages' && isFragmented(file.map, backupOf)) return nothing
    const untouched = parent.sameIncarnation && file.identity === now.identity && file.sizeBytes === now.sizeBytes
    if (untouched && damagedPages.length === 0) return { kind: 'all', file }
    const changesHaveLsns = facts.pageChecksums && parseRelationFile(now.path)?.fork === 'main'
    if (file.kind !== 'pages' || !changesHaveLsns || now.sizeBytes < file.sizeBytes) return nothing
    if (!sameDatabase(now.path)) return nothing
    const pageCount = file.sizeBytes / facts.pageBytes
    return { kind: 'pages', file, earlier: { sinceLsn: facts.startLsn, pageCount, damaged: damagedPages } }
  }
}

function damagedByPath({ damagedPages }: BackupFacts): ReadonlyMap<string, number[]> {
  const damaged = new Map<string, number[]>()
  for (const { path, page } of damagedPages) damaged.set(path, [...(damaged.get(path) ?? []), page])
  return damaged
}

/**
 * A database that was dropped, and made anew under its old oid by copying the files of another (`CREATE DATABASE … OID …
 * STRATEGY file_copy`), has pages of that other one with their old LSNs. Nothing of such a database is shared.
 */
function databaseFilter(parent: Parent): (path: string) => boolean {
  const known = parent.manifest.origin?.databases ?? {}
  return (path) => {
    const oid = /^(?:base|pg_tblspc\/\d+\/[^/]+)\/(\d+)\//.exec(path)?.[1]
    return oid === undefined || (known[oid] !== undefined && known[oid] === parent.databases[oid])
  }
}
