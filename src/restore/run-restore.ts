import { join } from 'node:path'
import { readManifest } from '../repository/catalogue.ts'
import type { Manifest, ManifestFile } from '../repository/core/manifest.ts'
import { readStored } from '../repository/stored-objects.ts'
import type { Repository } from '../repository/repository.ts'
import type { Clock } from '../std/clock.ts'
import { retry } from '../std/retry.ts'
import { packJobs } from './core/pack-jobs.ts'
import type { PackJob } from './core/pack-jobs.ts'
import { placeTablespaces } from './place-tablespaces.ts'
import type { PlannedRestore } from './plan-from-repository.ts'
import { scatterPacks } from './scatter/scatter-packs.ts'
import {
  claimTargetDirectory,
  controlFile,
  createFile,
  layOut,
  releaseTargetDirectory,
  syncAll,
} from './target-directory.ts'
import type { TargetDirectory } from './target-directory.ts'
import { isWorthRetrying } from './worth-retrying.ts'
import { open } from 'node:fs/promises'
import { syncDirectory } from '../std/durable-file.ts'

export interface RestoreOptions {
  readonly targetDirectory: string
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
  readonly stage: 'preparing' | 'writing' | 'syncing' | 'done'
  readonly bytesDone: number
  readonly bytesTotal: number
  readonly elapsedMs: number
  /** Undefined until enough was done to tell. */
  readonly etaMs: number | undefined
}

export interface RestoreResult {
  readonly backup: string
  readonly directory: string
  readonly files: number
  readonly bytes: number
  readonly elapsedMs: number
}

/**
 * Lays a backup out in an empty directory: every byte verified, everything synced, `global/pg_control` last. Until that
 * is there PostgreSQL refuses to start, and a marker says that the restore is incomplete; a restore that fails or is
 * interrupted leaves the directory like that. Recovery ({@link recover}) is the next step.
 */
export async function runRestore(
  repository: Repository,
  { commit }: PlannedRestore,
  options: RestoreOptions,
): Promise<RestoreResult> {
  const { clock, signal } = options
  const startedAt = clock.monotonic()
  const manifest = await readManifest(repository, commit, { signal })
  const bytesTotal = manifest.facts.dataBytes
  let bytesDone = 0
  const report = (stage: RestoreProgress['stage']): void => {
    const elapsedMs = clock.monotonic() - startedAt
    const etaMs = elapsedMs < 500 || bytesDone === 0 ? undefined : (elapsedMs * (bytesTotal - bytesDone)) / bytesDone
    options.onProgress?.({ stage, bytesDone, bytesTotal, elapsedMs, etaMs })
  }
  report('preparing')
  const target: TargetDirectory = {
    path: options.targetDirectory,
    tablespaces: placeTablespaces(manifest.tablespaces, options),
  }
  await claimTargetDirectory(target, manifest)
  await layOut(target, manifest, signal)
  const onWritten = (writtenBytes: number): void => {
    bytesDone += writtenBytes
    report('writing')
  }
  const [control, rest] = splitControlFile(manifest.files)
  await scatter(repository, manifest, packJobs(rest), options, onWritten)
  report('syncing')
  await syncAll(target, manifest.files, signal)
  await createFile(join(target.path, controlFile), control.mode, control.sizeBytes)
  await scatter(repository, manifest, packJobs([control]), options, onWritten)
  await syncControlFile(target)
  await releaseTargetDirectory(target)
  report('done')
  return {
    backup: manifest.facts.backup,
    directory: target.path,
    files: manifest.files.length,
    bytes: bytesDone,
    elapsedMs: clock.monotonic() - startedAt,
  }
}

async function scatter(
  repository: Repository,
  manifest: Manifest,
  jobs: readonly PackJob[],
  options: RestoreOptions,
  onWritten: (writtenBytes: number) => void,
): Promise<void> {
  const fetch = (objectKey: string, signal: AbortSignal): Promise<Uint8Array> =>
    retry(() => readStored(repository.store, objectKey, { signal }), {
      clock: options.clock,
      signal,
      attempts: 5,
      firstWaitMs: 200,
      longestWaitMs: 5000,
      random: Math.random,
      worthwhile: isWorthRetrying,
    })
  await scatterPacks({
    keyring: repository.keyring,
    dataDirectory: options.targetDirectory,
    pageBytes: manifest.facts.pageBytes,
    packs: manifest.facts.packs,
    jobs,
    workers: options.workers,
    fetch,
    onWritten,
    signal: options.signal,
  })
}

function splitControlFile(
  files: readonly ManifestFile[],
): readonly [Exclude<ManifestFile, { kind: 'directory' }>, readonly ManifestFile[]] {
  const control = files.find((file) => file.path === controlFile)
  if (control === undefined || control.kind === 'directory') throw new Error(`the backup has no ${controlFile}`)
  return [control, files.filter((file) => file !== control)]
}

async function syncControlFile(target: TargetDirectory): Promise<void> {
  await using file = await open(join(target.path, controlFile), 'r+')
  await file.sync()
  await syncDirectory(join(target.path, 'global'))
}
