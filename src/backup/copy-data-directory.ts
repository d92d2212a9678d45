import { access, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { PackReference } from '../repository/core/backup-facts.ts'
import type { PageFile, WholeFile } from '../repository/core/manifest.ts'
import type { BackupSession } from '../repository/backup-session.ts'
import { createPackBuilder } from '../repository/pack-builder.ts'
import type { Repository } from '../repository/repository.ts'
import type { Clock, EpochMs } from '../std/clock.ts'
import { Fault } from '../std/fault.ts'
import { copyParts } from './copy/copy-parts.ts'
import type { CopiedPart, CopyFigures, PartToCopy } from './copy/copy-protocol.ts'
import { type AssembledPart, assembleFile } from './core/assemble-files.ts'
import { controlFilePath, vanishedFile } from './core/content-rules.ts'
import { blockKey, blockReferenceOf } from './core/block-references.ts'
import { firstBlockOf, parseRelationFile } from './core/relation-file.ts'
import { splitWork } from './core/split-work.ts'
import { backupFaults } from './faults.ts'
import { type DataDirectoryListing, isGone, type ListedFile, listDataDirectory } from './list-data-directory.ts'
import { pageBytes } from './page/checksum-page.ts'
import { readControlFileBytes } from './read-control-file.ts'
import type { ServerFacts } from './server-session.ts'

export interface CopyJob {
  readonly repository: Repository
  readonly session: BackupSession
  readonly dataDirectory: string
  readonly server: ServerFacts
  readonly workers: number
  readonly clock: Clock
  readonly onProgress: (done: CopyProgress) => void
  readonly signal?: AbortSignal | undefined
}

export interface CopyProgress {
  readonly bytesDone: number
  readonly bytesTotal: number
  readonly filesDone: number
  readonly files: number
}

export interface CopiedDirectory {
  readonly listing: DataDirectoryListing
  /** `global/pg_control` is the last of them. */
  readonly files: readonly (PageFile | WholeFile)[]
  readonly packs: readonly PackReference[]
  readonly suspects: readonly SuspectPage[]
  /** Pages that were fine when they were read again. */
  readonly healedPages: number
  readonly figures: CopyFigures
}

/** A page whose checksum failed twice, by its file and its page in that file. */
export interface SuspectPage {
  readonly file: PageFile | WholeFile
  readonly page: number
  /** How WAL names it. */
  readonly blockKey: string
}

/** Copies all of a running server's files into packs, `global/pg_control` last. The server must be in backup mode. */
export async function copyDataDirectory(job: CopyJob): Promise<CopiedDirectory> {
  const { dataDirectory, signal } = job
  const listing = await listDataDirectory(dataDirectory, job.server.tablespaceDirectory, { signal })
  const planned = listing.files.map((file) => planFile(file, job.server))
  const batches = splitWork(listing.files.map((file) => file.sizeBytes)).map((batch) =>
    batch.map((part): PartToCopy => ({ ...part, ...at(planned, part.file) })),
  )
  const parts: CopiedPart[][] = planned.map(() => [])
  const packs: PackReference[] = []
  const progress = createProgress(listing, job.onProgress)
  const { packCount, figures } = await copyParts({
    keyring: job.repository.keyring,
    dataDirectory,
    cluster: job.session.cluster,
    backup: job.session.backup,
    batches,
    workers: job.workers,
    store: async (pack, storeSignal) => {
      packs[pack.number] = await job.session.putPack({ ...pack, sizeBytes: pack.bytes.length }, { signal: storeSignal })
    },
    onCopied: (copied) => {
      for (const part of copied) parts[part.file]?.push(part)
      progress(copied)
    },
    signal,
  })
  const entries = await assemble(job, listing.files, planned, parts)
  const control = await copyControlFile(job, packCount)
  return {
    listing,
    files: [...entries.values(), control.file],
    packs: [...packs, control.pack],
    suspects: suspectsOf(entries, planned, parts),
    healedPages: sum(parts.flat(), ({ outcome }) => (outcome.kind === 'read' ? outcome.healed : 0)),
    figures,
  }
}

interface PlannedFile {
  readonly path: string
  readonly kind: 'page' | 'whole'
  readonly firstBlock: number | undefined
}

/** Free-space and visibility maps are stored whole, but their pages have checksums as well. */
function planFile(file: ListedFile, server: ServerFacts): PlannedFile {
  const relation = parseRelationFile(file.path)
  if (relation === undefined) return { path: file.path, kind: 'whole', firstBlock: undefined }
  const isPaged = (relation.fork === 'main' || relation.fork === 'init') && file.sizeBytes % pageBytes === 0
  const firstBlock = server.pageChecksums ? firstBlockOf(relation, server.blocksPerSegment) : undefined
  return { path: file.path, kind: isPaged ? 'page' : 'whole', firstBlock }
}

/** The manifest's entries by number in the listing, in that order; files that were gone are missing. */
async function assemble(
  job: CopyJob,
  listed: readonly ListedFile[],
  planned: readonly PlannedFile[],
  parts: readonly (readonly CopiedPart[])[],
): Promise<ReadonlyMap<number, PageFile | WholeFile>> {
  const entries = new Map<number, PageFile | WholeFile>()
  for (const [number, file] of listed.entries()) {
    const assembled = at(parts, number).map((part): AssembledPart => ({
      offset: part.offset,
      wantedBytes: part.wantedBytes,
      lengthBytes: part.outcome.kind === 'read' ? part.outcome.lengthBytes : undefined,
      records: part.records,
    }))
    const entry = assembleFile({ ...file, kind: at(planned, number).kind, parts: assembled })
    if (entry === undefined) await assertMayVanish(job.dataDirectory, file.path)
    else entries.set(number, entry)
  }
  return entries
}

async function assertMayVanish(dataDirectory: string, path: string): Promise<void> {
  const rule = vanishedFile(path)
  if (rule === 'dropped') return
  if (rule === 'essential-unless-database-dropped' && !(await exists(dirname(join(dataDirectory, path))))) return
  throw new Fault(backupFaults['backup-file-missing'], `Cannot back up ${path}: it went away while it was to be read`, {
    details: { path },
  })
}

async function copyControlFile(
  job: CopyJob,
  number: number,
): Promise<{ readonly file: WholeFile; readonly pack: PackReference }> {
  const { session, signal } = job
  const bytes = await readControlFileBytes(job.dataDirectory, { clock: job.clock, signal })
  const { mode, mtimeMs } = await stat(join(job.dataDirectory, controlFilePath))
  const builder = createPackBuilder(job.repository.keyring, session.packObject(number))
  const record = builder.add({ type: 'file', meta: { path: controlFilePath, offset: 0 }, plain: bytes })
  const pack = await session.putPack(builder.finish(), { signal })
  const file: WholeFile = {
    kind: 'whole',
    path: controlFilePath,
    sizeBytes: bytes.length,
    mode: mode & 0o7777,
    modifiedAt: Math.trunc(mtimeMs) as EpochMs,
    parts: [{ pack: number, record, count: 1 }],
  }
  return { file, pack }
}

function suspectsOf(
  entries: ReadonlyMap<number, PageFile | WholeFile>,
  planned: readonly PlannedFile[],
  parts: readonly (readonly CopiedPart[])[],
): SuspectPage[] {
  const suspects: SuspectPage[] = []
  for (const [number, file] of entries) {
    const relation = parseRelationFile(file.path)
    const { firstBlock } = at(planned, number)
    if (relation === undefined || firstBlock === undefined) continue
    for (const { outcome } of at(parts, number)) {
      for (const block of outcome.kind === 'read' ? outcome.suspects : []) {
        const page = block - firstBlock
        // What lay past the place where the file fell short is not in the backup.
        if (page * pageBytes >= file.sizeBytes) continue
        suspects.push({ file, page, blockKey: blockKey(blockReferenceOf(relation, block)) })
      }
    }
  }
  return suspects
}

function createProgress(
  listing: DataDirectoryListing,
  onProgress: CopyJob['onProgress'],
): (copied: readonly CopiedPart[]) => void {
  const bytesTotal = sum(listing.files, (file) => file.sizeBytes)
  const files = listing.files.length
  let bytesDone = 0
  let filesDone = 0
  onProgress({ bytesDone, bytesTotal, filesDone, files })
  return (copied) => {
    bytesDone += sum(copied, (part) => part.wantedBytes)
    filesDone += copied.filter((part) => part.offset + part.wantedBytes === listing.files[part.file]?.sizeBytes).length
    onProgress({ bytesDone, bytesTotal, filesDone, files })
  }
}

async function exists(path: string): Promise<boolean> {
  try {
    await access(path)
    return true
  } catch (error) {
    if (isGone(error)) return false
    throw error
  }
}

function at<Item>(items: readonly Item[], index: number): Item {
  const item = items[index]
  if (item === undefined) throw new RangeError(`no item ${index}`)
  return item
}

function sum<Item>(items: readonly Item[], valueOf: (item: Item) => number): number {
  return items.reduce((total, item) => total + valueOf(item), 0)
}
