import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { BackupSession } from '../repository/backup-session.ts'
import { newChunkKey } from '../repository/chunk-hash.ts'
import type { PackReference } from '../repository/core/backup-facts.ts'
import { backupOfPack, packObject } from '../repository/core/object-names.ts'
import { manifestLinesOf } from '../repository/manifest-lines.ts'
import { createPackBuilder } from '../repository/pack-builder.ts'
import type { Repository } from '../repository/repository.ts'
import type { Clock, EpochMs } from '../std/clock.ts'
import { copyParts } from './copy/copy-parts.ts'
import type { CopiedPart, CopyFigures } from './copy/copy-protocol.ts'
import { controlFilePath } from './core/content-rules.ts'
import { createPackNumbers, type PackNumbers } from './core/pack-numbers.ts'
import { type Parent, shareFiles, type Sharing } from './core/share-files.ts'
import { FileEntries, type ManifestSection, type SuspectPage } from './file-entries.ts'
import { listDataDirectory, measureDataDirectory } from './list-data-directory.ts'
import { pageBytes } from './page/checksum-page.ts'
import { planCopy } from './plan-copy.ts'
import { readControlFileBytes } from './read-control-file.ts'
import { settledFilter } from './read-incarnation.ts'
import type { ServerFacts } from './server-session.ts'
import { TakingOver } from './taking-over.ts'

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
  /** `global/pg_control` is the last file of the last of them. */
  readonly sections: readonly ManifestSection[]
  /** Its own, those that it took over, and those of its parent that it shares. */
  readonly packs: readonly PackReference[]
  /** What was taken from the data directory, because the parent does not have it. */
  readonly changedBytes: number
  /** What of that was not copied anew, because a backup that died had copied it. */
  readonly takenOverBytes: number
  /** By backup that died: which one took over the packs of it that are among {@link packs}. */
  readonly takenOver: Readonly<Record<string, string>>
  /** The key of the files' hashes. */
  readonly chunkKey: string
  readonly suspects: readonly SuspectPage[]
  /** Pages that were fine when they were read again. */
  readonly healedPages: number
  readonly skipped: readonly string[]
  readonly figures: CopyFigures
}

/**
 * Copies a running server's files into packs, `global/pg_control` last; of what the parent has, only the changes, and
 * nothing that a backup which died has copied as it is now. The server must be in backup mode. Listing, planning, copying
 * and writing the manifest go on side by side: of what there is, only the part under work is in memory.
 */
export async function copyDataDirectory(job: CopyJob): Promise<CopiedDirectory> {
  const { dataDirectory, session, server, signal } = job
  const place = { dataDirectory, tablespaceDirectory: server.tablespaceDirectory }
  const total = await measureDataDirectory(place, { signal })
  const settled = await settledFilter(dataDirectory)
  const packs = new PacksOfBackup(job)
  const entries = new FileEntries({ dataDirectory, ownPack: packs.ownPack, parentPack: packs.parentPack })
  const skipped: string[] = []
  const tally = new Tally(total, entries, job.onProgress)
  const takingOver = new TakingOver(job.repository, packsToTakeOver(job), signal)
  const chunkKey = job.parent?.manifest.chunkKey ?? newChunkKey()
  const takenPack = (key: string): number => packs.takenPack(takingOver.reference(key))
  const batches = planCopy(listDataDirectory(place, { signal }), {
    server,
    entries,
    share: job.parent === undefined ? shareNothing : shareFiles(job.parent),
    takenPages: (path, pageCount) => takingOver.takenOver.takePages(path, pageCount, takenPack),
    takenWhole: (path, sizeBytes) => takingOver.takenOver.takeWhole(path, sizeBytes, takenPack),
    parentPack: packs.parentPack,
    settled,
    onKept: (bytes, from) => tally.keep(bytes, from),
    onSkipped: (path) => skipped.push(path),
  })
  async function* work() {
    yield* takingOver.work()
    for await (const parts of batches) yield { kind: 'batch', parts } as const
    return undefined
  }
  const { packCount, figures } = await copyParts({
    keyring: job.repository.keyring,
    compressionLevel: job.repository.compressionLevel,
    dataDirectory,
    cluster: session.cluster,
    backup: session.backup,
    chunkKey,
    work: work(),
    workers: job.workers,
    checkedBlocksPerSegment: server.pageChecksums ? server.blocksPerSegment : undefined,
    store: async (pack, storeSignal) => {
      packs.add(await session.putPack({ ...pack, sizeBytes: pack.bytes.length }, { signal: storeSignal }))
    },
    onCompared: (pack) => takingOver.compared(pack),
    onCopied: (parts) => {
      for (const part of parts) entries.addPart(part)
      tally.add(parts)
    },
    signal,
  })
  const control = await copyControlFile(job, packCount)
  packs.add(control.reference)
  const file = {
    ...control.file,
    parts: [{ pack: packs.ownPack(packCount), record: control.record, count: 1 }],
  } as const
  tally.end()
  return {
    sections: [...entries.sections, { linkedTablespace: undefined, lines: manifestLinesOf([file]) }],
    packs: packs.references(),
    takenOver: takersOf(job, packs.references()),
    chunkKey,
    changedBytes: tally.changedBytes + file.sizeBytes,
    takenOverBytes: tally.takenOverBytes,
    suspects: entries.suspects,
    healedPages: tally.healedPages,
    skipped,
    figures,
  }
}

const shareNothing = (): Sharing => ({ kind: 'none' })

/** The packs that the manifest names, in the order in which it comes to name them. */
class PacksOfBackup {
  readonly #job: CopyJob
  readonly #numbers: PackNumbers = createPackNumbers()
  readonly #references = new Map<string, PackReference>()

  constructor(job: CopyJob) {
    this.#job = job
  }

  add(reference: PackReference): void {
    this.#references.set(reference.key, reference)
  }

  readonly ownPack = (pack: number): number => {
    const { cluster, backup } = this.#job.session
    return this.#numbers.numberOf(packObject(cluster, backup, pack))
  }

  readonly parentPack = (pack: number): number => {
    const reference = this.#job.parent?.manifest.facts.packs[pack]
    if (reference === undefined) throw new RangeError(`the parent has no pack ${pack}`)
    return this.takenPack(reference)
  }

  readonly takenPack = (reference: PackReference): number => {
    this.add(reference)
    return this.#numbers.numberOf(reference.key)
  }

  references(): PackReference[] {
    return this.#numbers.keys.map((key) => {
      const reference = this.#references.get(key)
      if (reference === undefined) throw new Error(`pack ${key} was not stored`)
      return reference
    })
  }
}

/** Those that died before the parent began have nothing that the parent does not have as well. */
function packsToTakeOver({ session, parent }: CopyJob): readonly string[] {
  const since = parent?.manifest.facts.backup ?? ''
  return session.adoptablePacks.filter((key) => backupOfPack(key) > since)
}

function takersOf({ session, parent }: CopyJob, packs: readonly PackReference[]): Record<string, string> {
  const before = parent?.manifest.origin?.takenOver ?? {}
  const takers = packs.flatMap(({ key }) => {
    const backup = backupOfPack(key)
    const taker = session.takesOver.includes(backup) ? session.backup : before[backup]
    return taker === undefined ? [] : [[backup, taker] as const]
  })
  return Object.fromEntries(takers)
}

/** Counts what is done, and tells it. */
class Tally {
  changedBytes = 0
  takenOverBytes = 0
  healedPages = 0
  #bytesDone = 0
  readonly #total: { readonly files: number; readonly bytes: number }
  readonly #entries: FileEntries
  readonly #onProgress: CopyJob['onProgress']

  constructor(total: { files: number; bytes: number }, entries: FileEntries, onProgress: CopyJob['onProgress']) {
    this.#total = total
    this.#entries = entries
    this.#onProgress = onProgress
    this.#tell()
  }

  keep(bytes: number, from: 'parent' | 'dead'): void {
    this.#bytesDone += bytes
    if (from === 'parent') return
    this.takenOverBytes += bytes
    this.changedBytes += bytes
  }

  add(parts: readonly CopiedPart[]): void {
    for (const part of parts) {
      this.#bytesDone += part.wantedBytes
      this.changedBytes += copiedBytes(part)
      if (part.outcome.kind === 'read') this.healedPages += part.outcome.healed
    }
    this.#tell()
  }

  /** What was measured before may have grown or shrunk since; all of what there is is done. */
  end(): void {
    const { filesDone } = this.#entries
    this.#onProgress({ bytesDone: this.#bytesDone, bytesTotal: this.#bytesDone, filesDone, files: filesDone })
  }

  #tell(): void {
    const { filesDone } = this.#entries
    const bytesTotal = Math.max(this.#total.bytes, this.#bytesDone)
    const files = Math.max(this.#total.files, filesDone)
    this.#onProgress({ bytesDone: this.#bytesDone, bytesTotal, filesDone, files })
  }
}

/** A part of which only the changed pages were taken has records that name them, or none at all. */
function copiedBytes({ outcome, records }: CopiedPart): number {
  if (outcome.kind === 'gone' || records.length === 0) return 0
  if (records[0]?.pages === undefined) return outcome.lengthBytes
  return records.reduce((sum, record) => sum + (record.pages?.length ?? 0) * pageBytes, 0)
}

async function copyControlFile(job: CopyJob, number: number) {
  const { session, signal } = job
  const bytes = await readControlFileBytes(job.dataDirectory, { clock: job.clock, signal })
  const { mode, mtimeMs } = await stat(join(job.dataDirectory, controlFilePath))
  const builder = createPackBuilder(job.repository.keyring, session.packObject(number), job.repository)
  const record = builder.add({ type: 'file', meta: { path: controlFilePath, offset: 0 }, plain: bytes })
  const reference = await session.putPack(builder.finish(), { signal })
  const file = {
    kind: 'whole',
    path: controlFilePath,
    sizeBytes: bytes.length,
    mode: mode & 0o7777,
    modifiedAt: Math.trunc(mtimeMs) as EpochMs,
  } as const
  return { file, record, reference }
}
