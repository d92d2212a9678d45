import { existsSync } from 'node:fs'
import { dirname, join } from 'node:path'
import type { ManifestFile, PageFile, WholeFile } from '../repository/core/manifest.ts'
import type { PageMap } from '../repository/core/page-map.ts'
import { createManifestLines, type ManifestLines, type ManifestLinesWriter } from '../repository/manifest-lines.ts'
import { Fault } from '../std/fault.ts'
import type { CopiedPart } from './copy/copy-protocol.ts'
import { type AssembledPart, assembleFile } from './core/assemble-files.ts'
import { blockKey, blockReferenceOf } from './core/block-references.ts'
import { vanishedFile } from './core/content-rules.ts'
import { parseRelationFile } from './core/relation-file.ts'
import { tablespaceOf } from './core/tablespace-map.ts'
import { backupFaults } from './faults.ts'
import type { ListedDirectory, ListedFile } from './list-data-directory.ts'
import { pageBytes } from './page/checksum-page.ts'

/** Lines of the manifest that belong together: of one tablespace that is linked to another place, or of none. */
export interface ManifestSection {
  readonly linkedTablespace: number | undefined
  readonly lines: ManifestLines
}

/** A page whose checksum failed twice, by its file and its page in that file. */
export interface SuspectPage {
  readonly path: string
  readonly page: number
  /** How WAL names it. */
  readonly blockKey: string
  /** The tablespace of its section. */
  readonly linkedTablespace: number | undefined
}

/** A file that is being copied. */
export interface FileToCopy {
  readonly listed: ListedFile
  readonly kind: 'page' | 'whole'
  /** Block number, within its fork, of its first page; undefined where no checksums are verified. */
  readonly firstBlock: number | undefined
  readonly identity: string | undefined
  readonly parentMap: PageMap | undefined
  readonly takenMap: PageMap | undefined
  readonly partCount: number
}

export interface EntryContext {
  readonly dataDirectory: string
  /** The number of a pack of this backup in its manifest, and that of one of its parent's. */
  readonly ownPack: (pack: number) => number
  readonly parentPack: (pack: number) => number
}

/**
 * Turns what was copied into the manifest's lines, in the order in which files were announced. Only files that are not
 * complete yet, and those behind them that are, are in memory.
 */
export class FileEntries {
  readonly sections: ManifestSection[] = []
  readonly suspects: SuspectPage[] = []
  /** How many files are done, whether or not they were gone. */
  filesDone = 0
  readonly #context: EntryContext
  readonly #open = new Map<number, { readonly file: FileToCopy; readonly parts: CopiedPart[] }>()
  /** Complete, waiting for earlier ones; undefined for a file that was gone. */
  readonly #done = new Map<number, ManifestFile | undefined>()
  readonly #linkedTablespaces = new Set<number>()
  #announced = 0
  #written = 0
  #lines: ManifestLinesWriter | undefined

  constructor(context: EntryContext) {
    this.#context = context
  }

  addDirectory({ path, mode, linkedTablespace }: ListedDirectory): void {
    if (linkedTablespace !== undefined) this.#linkedTablespaces.add(linkedTablespace)
    this.#complete(this.#announced++, { kind: 'directory', path, mode })
  }

  /** A file of which nothing is copied. */
  addComplete(file: PageFile | WholeFile): void {
    this.#complete(this.#announced++, file)
  }

  /** Gives the number that its parts are to have. A file without any is complete. */
  announce(file: FileToCopy): FileToCopy & { readonly number: number } {
    const number = this.#announced++
    this.#open.set(number, { file, parts: [] })
    if (file.partCount === 0) this.#assemble(number)
    return { ...file, number }
  }

  /** Takes a part; throws `backup-file-missing` when a file is gone that never goes in a running server. */
  addPart(part: CopiedPart): void {
    const open = this.#open.get(part.file)
    if (open === undefined) throw new RangeError(`no file ${part.file} is being copied`)
    open.parts.push(part)
    if (open.parts.length < open.file.partCount) return
    this.#assemble(part.file)
  }

  #assemble(number: number): void {
    const open = this.#open.get(number)
    if (open === undefined) return
    this.#open.delete(number)
    const { file, parts } = open
    const entry = assembleFile({ ...file.listed, ...file, parts: this.#assembled(parts) }, this.#context.parentPack)
    if (entry === undefined) assertMayVanish(this.#context.dataDirectory, file.listed.path)
    else this.#collectSuspects(file, entry, parts)
    this.#complete(number, entry)
  }

  #assembled(parts: readonly CopiedPart[]): AssembledPart[] {
    return parts.map(({ offset, wantedBytes, outcome, records, hashes }) => ({
      offset,
      wantedBytes,
      lengthBytes: outcome.kind === 'read' ? outcome.lengthBytes : undefined,
      records: records.map((record) => ({ ...record, pack: this.#context.ownPack(record.pack) })),
      hashes,
    }))
  }

  #collectSuspects(
    { firstBlock }: FileToCopy,
    { path, sizeBytes }: PageFile | WholeFile,
    parts: readonly CopiedPart[],
  ): void {
    const relation = parseRelationFile(path)
    if (relation === undefined || firstBlock === undefined) return
    for (const { outcome } of parts) {
      for (const block of outcome.kind === 'read' ? outcome.suspects : []) {
        const page = block - firstBlock
        // What lay past the place where the file fell short is not in the backup.
        if (page * pageBytes >= sizeBytes) continue
        const key = blockKey(blockReferenceOf(relation, block))
        this.suspects.push({ path, page, blockKey: key, linkedTablespace: this.#linkedTablespaceOf(path) })
      }
    }
  }

  #complete(number: number, entry: ManifestFile | undefined): void {
    this.#done.set(number, entry)
    if (entry?.kind !== 'directory') this.filesDone += 1
    for (; this.#done.has(this.#written); this.#written++) {
      const next = this.#done.get(this.#written)
      this.#done.delete(this.#written)
      if (next !== undefined) this.#linesFor(next.path).add(next)
    }
  }

  #linkedTablespaceOf(path: string): number | undefined {
    const oid = tablespaceOf(path)
    return oid !== undefined && this.#linkedTablespaces.has(oid) ? oid : undefined
  }

  #linesFor(path: string): ManifestLinesWriter {
    const linkedTablespace = this.#linkedTablespaceOf(path)
    if (this.#lines !== undefined && this.sections.at(-1)?.linkedTablespace === linkedTablespace) return this.#lines
    this.#lines = createManifestLines()
    this.sections.push({ linkedTablespace, lines: this.#lines })
    return this.#lines
  }
}

function assertMayVanish(dataDirectory: string, path: string): void {
  const rule = vanishedFile(path)
  if (rule === 'dropped') return
  if (rule === 'essential-unless-database-dropped' && !existsSync(dirname(join(dataDirectory, path)))) return
  throw new Fault(backupFaults['backup-file-missing'], `Cannot back up ${path}: it went away while it was to be read`, {
    details: { path },
  })
}
