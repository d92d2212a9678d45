import { access, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { PackReference } from '../repository/core/backup-facts.ts'
import type { PageFile, WholeFile } from '../repository/core/manifest.ts'
import type { BackupSession } from '../repository/backup-session.ts'
import { newChunkKey } from '../repository/chunk-hash.ts'
import { createPackBuilder } from '../repository/pack-builder.ts'
import type { Repository } from '../repository/repository.ts'
import type { Clock, EpochMs } from '../std/clock.ts'
import { Fault } from '../std/fault.ts'
import { copyParts } from './copy/copy-parts.ts'
import type { CopiedPart, CopyFigures, PartToCopy } from './copy/copy-protocol.ts'
import { type AssembledPart, assembleFile, shareFile } from './core/assemble-files.ts'
import { controlFilePath, vanishedFile } from './core/content-rules.ts'
import { blockKey, blockReferenceOf } from './core/block-references.ts'
import { firstBlockOf, parseRelationFile } from './core/relation-file.ts'
import { type Parent, shareFiles, type Sharing } from './core/share-files.ts'
import { createSharedPacks, type SharedPacks } from './core/shared-packs.ts'
import { splitWork } from './core/split-work.ts'
import { backupFaults } from './faults.ts'
import { type DataDirectoryListing, isGone, type ListedFile, listDataDirectory } from './list-data-directory.ts'
import { pageBytes } from './page/checksum-page.ts'
import { readControlFileBytes } from './read-control-file.ts'
import { settledFilter } from './read-incarnation.ts'
import type { ServerFacts } from './server-session.ts'

export interface CopyJob {
  readonly repository: Repository
  readonly session: BackupSession
  readonly dataDirectory: string
  readonly server: ServerFacts
  /** What an incremental backup goes on from. */
  readonly parent: Parent | undefined
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
  /** Its own, then those of its parent that it shares. */
  readonly packs: readonly PackReference[]
  /** What was taken from the data directory, because the parent does not have it. */
  readonly changedBytes: number
  /** The key of the files' hashes. */
  readonly chunkKey: string
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

/**
 * Copies a running server's files into packs, `global/pg_control` last; of what the parent has, only the changes. The
 * server must be in backup mode.
 */
export async function copyDataDirectory(job: CopyJob): Promise<CopiedDirectory> {
  const { dataDirectory, signal } = job
  const listing = await listDataDirectory(dataDirectory, job.server.tablespaceDirectory, { signal })
  const settled = await settledFilter(dataDirectory)
  const share = job.parent === undefined ? shareNothing : shareFiles(job.parent)
  const planned = listing.files.map((file) => planFile(file, job.server, share))
  const parts: CopiedPart[][] = planned.map(() => [])
  const packs: PackReference[] = []
  const chunkKey = job.parent?.manifest.chunkKey ?? newChunkKey()
  const progress = createProgress(listing, planned, job.onProgress)
  const { packCount, figures } = await copyParts({
    keyring: job.repository.keyring,
    dataDirectory,
    cluster: job.session.cluster,
    backup: job.session.backup,
    chunkKey,
    batches: batchesOf(listing, planned),
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
  const shared = createSharedPacks(job.parent?.manifest.facts.packs ?? [], packCount + 1)
  const entries = await assemble(job, { listed: listing.files, planned, parts, shared, settled })
  const control = await copyControlFile(job, packCount)
  return {
    listing,
    files: [...entries.values(), control.file],
    packs: [...packs, control.pack, ...shared.references],
    chunkKey,
    changedBytes: control.file.sizeBytes + sum(parts.flat(), copiedBytes),
    suspects: suspectsOf(entries, planned, parts),
    healedPages: sum(parts.flat(), ({ outcome }) => (outcome.kind === 'read' ? outcome.healed : 0)),
    figures,
  }
}

interface PlannedFile {
  readonly path: string
  readonly kind: 'page' | 'whole'
  readonly firstBlock: number | undefined
  readonly sharing: Sharing
}

const shareNothing = (): Sharing => ({ kind: 'none' })

/** Free-space and visibility maps are stored whole, but their pages have checksums as well. */
function planFile(file: ListedFile, server: ServerFacts, share: ReturnType<typeof shareFiles>): PlannedFile {
  const { path } = file
  const relation = parseRelationFile(path)
  if (relation === undefined)
    return { path, kind: 'whole', firstBlock: undefined, sharing: share({ ...file, kind: 'whole' }) }
  const isPaged = (relation.fork === 'main' || relation.fork === 'init') && file.sizeBytes % pageBytes === 0
  const firstBlock = server.pageChecksums ? firstBlockOf(relation, server.blocksPerSegment) : undefined
  const kind = isPaged ? 'page' : 'whole'
  return { path, kind, firstBlock, sharing: share({ ...file, kind }) }
}

/** What is to be read, in batches; files that did not change are not. */
function batchesOf(listing: DataDirectoryListing, planned: readonly PlannedFile[]): PartToCopy[][] {
  const toRead = [...planned.keys()].filter((file) => at(planned, file).sharing.kind !== 'all')
  return splitWork(toRead.map((file) => at(listing.files, file).sizeBytes)).map((batch) =>
    batch.map((part) => {
      const file = at(toRead, part.file)
      const { path, kind, firstBlock, sharing } = at(planned, file)
      const earlier = sharing.kind === 'pages' ? sharing.earlier : undefined
      return { ...part, file, path, kind, firstBlock, earlier }
    }),
  )
}

interface CopiedFiles {
  readonly listed: readonly ListedFile[]
  readonly planned: readonly PlannedFile[]
  readonly parts: readonly (readonly CopiedPart[])[]
  readonly shared: SharedPacks
  readonly settled: (changedMs: number) => boolean
}

/** The manifest's entries by number in the listing, in that order; files that were gone are missing. */
async function assemble(
  job: CopyJob,
  { listed, planned, parts, shared, settled }: CopiedFiles,
): Promise<ReadonlyMap<number, PageFile | WholeFile>> {
  const entries = new Map<number, PageFile | WholeFile>()
  for (const [number, file] of listed.entries()) {
    const { kind, sharing } = at(planned, number)
    if (sharing.kind === 'all') {
      entries.set(number, shareFile(sharing.file, file.mode, shared.numberOf))
      continue
    }
    const assembled = at(parts, number).map((part): AssembledPart => ({
      offset: part.offset,
      wantedBytes: part.wantedBytes,
      lengthBytes: part.outcome.kind === 'read' ? part.outcome.lengthBytes : undefined,
      records: part.records,
      hashes: part.hashes,
    }))
    const identity = settled(file.changedMs) ? file.identity : undefined
    const parentMap = sharing.kind === 'pages' ? sharing.file.map : undefined
    const entry = assembleFile({ ...file, identity, kind, parentMap, parts: assembled }, shared.numberOf)
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

/** A part of which only the changed pages were taken has records that name them, or none at all. */
function copiedBytes({ outcome, records }: CopiedPart): number {
  if (outcome.kind === 'gone' || records.length === 0) return 0
  if (records[0]?.pages === undefined) return outcome.lengthBytes
  return sum(records, (record) => (record.pages?.length ?? 0) * pageBytes)
}

function createProgress(
  listing: DataDirectoryListing,
  planned: readonly PlannedFile[],
  onProgress: CopyJob['onProgress'],
): (copied: readonly CopiedPart[]) => void {
  const bytesTotal = sum(listing.files, (file) => file.sizeBytes)
  const files = listing.files.length
  const unread = listing.files.filter((_, file) => at(planned, file).sharing.kind === 'all')
  let bytesDone = sum(unread, (file) => file.sizeBytes)
  let filesDone = unread.length
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
