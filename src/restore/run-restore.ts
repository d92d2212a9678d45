import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { openBackupManifest } from '../repository/catalogue.ts'
import type { ManifestFile, WholeFile } from '../repository/core/manifest.ts'
import { objectFault } from '../repository/damage.ts'
import type { ManifestReader } from '../repository/manifest-object.ts'
import { openPack } from '../repository/pack-reader.ts'
import { readStored } from '../repository/stored-objects.ts'
import type { Repository } from '../repository/repository.ts'
import type { Clock } from '../std/clock.ts'
import { syncDirectory } from '../std/durable-file.ts'
import { retry } from '../std/retry.ts'
import { compareFiles } from './compare/compare-files.ts'
import { packJobs, packRanges } from './core/pack-jobs.ts'
import type { WantedOf } from './core/pack-jobs.ts'
import { describeRecoveryTarget } from './core/target.ts'
import { wantedBytes } from './core/wanted-pieces.ts'
import { claimTarget, withTargetLock } from './layout/claim-target.ts'
import { layOut, prepareFile } from './layout/lay-out.ts'
import { placeTablespaces } from './layout/place-tablespaces.ts'
import { removeStrangers } from './layout/remove-strangers.ts'
import { incompleteMarker, recoveryMarker, removeRestoreNote, writeRestoreNote } from './layout/restore-note.ts'
import type { RestoreNote } from './layout/restore-note.ts'
import { requireRoom, roomFor } from './layout/room.ts'
import { syncFile, syncTarget } from './layout/sync-target.ts'
import { controlFile } from './layout/target-directory.ts'
import type { TargetDirectory } from './layout/target-directory.ts'
import type { PlannedRestore } from './plan-from-repository.ts'
import { scatterPacks } from './scatter/scatter-packs.ts'
import { isWorthRetrying } from '../repository/worth-retrying.ts'

export interface RestoreOptions {
  readonly targetDirectory: string
  /** Make a directory that holds something of the same cluster into the backup, fetching only what differs. */
  readonly delta?: boolean | undefined
  /** Where tablespaces go, by OID or by the directory they were in. The original place is never used unasked. */
  readonly tablespaces?: ReadonlyMap<string, string> | undefined
  /** A directory in which each tablespace that is not named gets one of its own, called by its OID. */
  readonly tablespacesInto?: string | undefined
  /** Threads that decrypt and write. */
  readonly workers: number
  readonly clock: Clock
  readonly onProgress?: ((progress: RestoreProgress) => void) | undefined
  readonly signal?: AbortSignal | undefined
}

export interface RestoreProgress {
  readonly stage: 'preparing' | 'comparing' | 'writing' | 'syncing' | 'done'
  /** Of the stage. */
  readonly bytesDone: number
  readonly bytesTotal: number
  readonly elapsedMs: number
  /** Of the stage; undefined until enough was done to tell. */
  readonly etaMs: number | undefined
}

export interface RestoreResult {
  readonly backup: string
  readonly directory: string
  readonly files: number
  /** What was written; the rest of the backup's bytes was there. */
  readonly bytes: number
  readonly keptBytes: number
  /** What was read from the store. */
  readonly fetchedBytes: number
  /** Files that were there and are not in the backup. */
  readonly removedFiles: number
  readonly elapsedMs: number
}

/** Pieces of packs that are planned for at a time: about 50 MB of plan. */
const maxRows = 500_000

/**
 * Lays a backup out in a directory: every byte verified, everything synced, `global/pg_control` last. Until that is
 * there PostgreSQL refuses to start, and a marker says that the restore is incomplete; a restore that fails or is
 * interrupted leaves the directory like that, and run again goes on with what is missing. Recovery ({@link recover}) is
 * the next step. The directory must be empty or hold an unfinished restore of the same cluster, or, with `delta`, any
 * data directory of that cluster on which no server runs; afterwards it is to the byte what an empty one would be.
 */
export async function runRestore(
  repository: Repository,
  planned: PlannedRestore,
  options: RestoreOptions,
): Promise<RestoreResult> {
  const manifest = await openBackupManifest(repository, planned.commit, { signal: options.signal })
  const target: TargetDirectory = {
    path: options.targetDirectory,
    tablespaces: placeTablespaces(manifest.tablespaces, options),
  }
  return await withTargetLock(target, options.clock, () =>
    new RestoreRun(repository, planned, options, manifest, target).run(),
  )
}

class RestoreRun {
  readonly #repository: Repository
  readonly #planned: PlannedRestore
  readonly #options: RestoreOptions
  readonly #manifest: ManifestReader
  readonly #target: TargetDirectory
  readonly #startedAt: number
  #stage: { name: RestoreProgress['stage']; bytesDone: number; bytesTotal: number; startedAt: number }
  #writtenBytes = 0
  #fetchedBytes = 0

  constructor(
    repository: Repository,
    planned: PlannedRestore,
    options: RestoreOptions,
    manifest: ManifestReader,
    target: TargetDirectory,
  ) {
    this.#repository = repository
    this.#planned = planned
    this.#options = options
    this.#manifest = manifest
    this.#target = target
    this.#startedAt = options.clock.monotonic()
    this.#stage = { name: 'preparing', bytesDone: 0, bytesTotal: 0, startedAt: this.#startedAt }
  }

  async run(): Promise<RestoreResult> {
    const { clock, signal, delta = false } = this.#options
    const manifest = this.#manifest
    const target = this.#target
    this.#begin('preparing', 0)
    requireRoom(await roomFor(target, manifest.files()))
    const note = this.#note()
    const claimed = await claimTarget(target, manifest, note, { delta })
    await layOut(target, manifest, signal)
    const removedFiles = claimed === 'fresh' ? 0 : await removeStrangers(target, manifest, signal)
    const control = findControlFile(manifest)
    const wantedOf = claimed === 'fresh' ? () => 'all' as const : await this.#compare()
    await this.#write((file) => (file === control.number ? undefined : wantedOf(file)))
    this.#begin('syncing', 0)
    await syncTarget(target, manifest.files, signal)
    const controlPath = join(target.path, controlFile)
    prepareFile(controlPath, control.file)
    await this.#writeControlFile(controlPath, control.file)
    await syncFile(controlPath, control.file.mode)
    await syncDirectory(join(target.path, 'global'))
    await writeRestoreNote(target.path, recoveryMarker, note)
    await removeRestoreNote(target.path, incompleteMarker)
    this.#begin('done', 0)
    return {
      backup: manifest.facts.backup,
      directory: target.path,
      files: manifest.facts.fileCount,
      bytes: this.#writtenBytes,
      keptBytes: manifest.facts.dataBytes - this.#writtenBytes,
      fetchedBytes: this.#fetchedBytes,
      removedFiles,
      elapsedMs: clock.monotonic() - this.#startedAt,
    }
  }

  #note(): RestoreNote {
    const { cluster, plan } = this.#planned
    const { backup, repositoryId, systemIdentifier } = this.#manifest.facts
    return {
      repositoryId,
      cluster,
      systemIdentifier: String(systemIdentifier),
      backup,
      target: describeRecoveryTarget(plan.target),
      timeline: plan.timeline,
      tablespaces: Object.fromEntries(this.#target.tablespaces),
    }
  }

  async #compare(): Promise<WantedOf> {
    this.#begin('comparing', this.#manifest.facts.dataBytes)
    const wanted = await compareFiles({
      dataDirectory: this.#target.path,
      chunkKey: this.#manifest.chunkKey,
      files: withoutControlFile(this.#manifest.files()),
      workers: this.#options.workers,
      onCompared: (bytes) => this.#tell(bytes),
      signal: this.#options.signal,
    })
    return (file) => wanted.get(file)
  }

  async #write(wantedOf: WantedOf): Promise<void> {
    const { facts, files } = this.#manifest
    const ranges = packRanges(files(), wantedOf, { packCount: facts.packs.length, maxRows })
    this.#begin('writing', totalWanted(files(), wantedOf))
    for (const range of ranges) {
      await scatterPacks({
        keyring: this.#repository.keyring,
        dataDirectory: this.#target.path,
        pageBytes: facts.pageBytes,
        packs: facts.packs,
        jobs: packJobs(files(), wantedOf, range),
        workers: this.#options.workers,
        fetch: (objectKey, signal) => this.#fetch(objectKey, signal),
        onWritten: (bytes) => {
          this.#writtenBytes += bytes
          this.#tell(bytes)
        },
        signal: this.#options.signal,
      })
    }
  }

  /** It is one page in a pack of its own: no work for threads. */
  async #writeControlFile(path: string, { sizeBytes, parts }: WholeFile): Promise<void> {
    const { keyring } = this.#repository
    const content: Uint8Array[] = []
    for (const { pack, record, count } of parts) {
      const reference = this.#manifest.facts.packs[pack]
      if (reference === undefined) throw new Error(`the manifest has no pack ${pack}`)
      const bytes = await this.#fetch(reference.key, this.#options.signal ?? new AbortController().signal)
      const opened = openPack(keyring, reference.key, bytes, reference)
      for (let at = record; at < record + count; at += 1) content.push(opened.read(at))
    }
    const whole = Buffer.concat(content)
    if (whole.length !== sizeBytes) {
      const { key } = this.#planned.commit.manifest
      throw objectFault(key, 'altered', `${controlFile} has ${whole.length} bytes, not ${sizeBytes}`)
    }
    await writeFile(path, whole, { flag: 'r+' })
    this.#writtenBytes += whole.length
  }

  async #fetch(objectKey: string, signal: AbortSignal): Promise<Uint8Array> {
    const bytes = await retry(() => readStored(this.#repository.store, objectKey, { signal }), {
      clock: this.#options.clock,
      signal,
      attempts: 5,
      firstWaitMs: 200,
      longestWaitMs: 5000,
      random: Math.random,
      worthwhile: isWorthRetrying,
    })
    this.#fetchedBytes += bytes.length
    return bytes
  }

  #begin(name: RestoreProgress['stage'], bytesTotal: number): void {
    this.#stage = { name, bytesDone: 0, bytesTotal, startedAt: this.#options.clock.monotonic() }
    this.#tell(0)
  }

  #tell(bytes: number): void {
    const stage = this.#stage
    stage.bytesDone += bytes
    const { name, bytesDone, bytesTotal } = stage
    const now = this.#options.clock.monotonic()
    const stageMs = now - stage.startedAt
    const etaMs = stageMs < 500 || bytesDone === 0 ? undefined : (stageMs * (bytesTotal - bytesDone)) / bytesDone
    this.#options.onProgress?.({ stage: name, bytesDone, bytesTotal, elapsedMs: now - this.#startedAt, etaMs })
  }
}

function findControlFile(manifest: ManifestReader): { readonly number: number; readonly file: WholeFile } {
  let number = -1
  for (const file of manifest.files()) {
    number += 1
    if (file.path === controlFile && file.kind === 'whole') return { number, file }
  }
  throw new Error(`the backup has no ${controlFile}`)
}

/** Keeps the numbers of the files. */
function* withoutControlFile(files: Iterable<ManifestFile>): Generator<ManifestFile> {
  for (const file of files) {
    yield file.path === controlFile ? { kind: 'directory', path: file.path, mode: file.mode } : file
  }
}

function totalWanted(files: Iterable<ManifestFile>, wantedOf: WantedOf): number {
  let [number, bytes] = [-1, 0]
  for (const file of files) {
    number += 1
    const wanted = file.kind === 'directory' ? undefined : wantedOf(number)
    if (file.kind !== 'directory' && wanted !== undefined) bytes += wantedBytes(file, wanted)
  }
  return bytes
}
