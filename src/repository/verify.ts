import { Fault } from '../std/fault.ts'
import type { StoreOptions } from '../store/object-store.ts'
import { isObjectFault, readManifest } from './catalogue.ts'
import type { PackReference } from './core/backup-facts.ts'
import type { Commit } from './core/commit.ts'
import type { Manifest } from './core/manifest.ts'
import { expectationsOf, incompleteFile, mismatch, type FoundPieces } from './core/references.ts'
import { objectFault } from './damage.ts'
import { openPack, type OpenPack } from './pack-reader.ts'
import type { Repository } from './repository.ts'
import { readStored } from './stored-objects.ts'

export interface BackupVerification {
  readonly backup: string
  readonly objectCount: number
  readonly sizeBytes: number
  /** One for each object that is bad; empty when the backup is good. */
  readonly bad: readonly Fault[]
  /** Those of them that are whole, but do not hold what the manifest expects of them. */
  readonly misfits: readonly Fault[]
}

/** Objects that were found good before, by key: backups share packs. */
export type KnownPacks = Map<string, { readonly sha256: string; readonly records: OpenPack['records'] }>

export interface VerificationProgress {
  readonly checkedBytes: number
  readonly totalBytes: number
}

/**
 * Reads every object of a backup and proves that it is present, has the size and hash it was committed with, opens,
 * and holds the pages and files that the manifest expects in it. Bad objects are results; a store that fails, throws.
 */
export async function verifyBackup(
  repository: Repository,
  commit: Commit,
  options: StoreOptions & {
    readonly known?: KnownPacks | undefined
    readonly onProgress?: ((progress: VerificationProgress) => void) | undefined
  } = {},
): Promise<BackupVerification> {
  const { packs } = commit.facts
  const totalBytes = packs.reduce((sum, pack) => sum + pack.sizeBytes, commit.manifest.sizeBytes)
  const bad: Fault[] = []
  let checkedBytes = 0
  const checked = (reference: PackReference): void => {
    checkedBytes += reference.sizeBytes
    options.onProgress?.({ checkedBytes, totalBytes })
  }
  const manifest = await collectFault(bad, () => readManifest(repository, commit, options))
  checked(commit.manifest)
  const expectations = manifest === undefined ? undefined : expectationsOf(manifest)
  const found: FoundPieces = new Map()
  const misfits: Fault[] = []
  for (const [number, reference] of packs.entries()) {
    const records = await collectFault(bad, () => recordsOf(repository, reference, options))
    const wrong =
      records === undefined || expectations === undefined ? undefined : mismatch(expectations, number, records, found)
    if (wrong !== undefined) misfits.push(objectFault(reference.key, 'altered', wrong))
    checked(reference)
  }
  const whole = bad.length === 0 && misfits.length === 0
  if (manifest !== undefined && whole) assertFilesComplete(misfits, commit, manifest, found)
  const { backup } = commit.facts
  return { backup, objectCount: packs.length + 1, sizeBytes: totalBytes, bad: [...bad, ...misfits], misfits }
}

async function recordsOf(
  repository: Repository,
  reference: PackReference,
  options: StoreOptions & { readonly known?: KnownPacks | undefined },
): Promise<OpenPack['records']> {
  const before = options.known?.get(reference.key)
  if (before?.sha256 === reference.sha256) return before.records
  const { records, sha256 } = await verifyObject(repository, reference, options)
  options.known?.set(reference.key, { sha256, records })
  return records
}

/** Reads one object and every record in it. Throws `repository-object-missing` or `repository-object-damaged`. */
export async function verifyObject(
  repository: Repository,
  reference: PackReference,
  options: StoreOptions = {},
): Promise<OpenPack> {
  const bytes = await readStored(repository.store, reference.key, options)
  const pack = openPack(repository.keyring, reference.key, bytes, reference)
  for (const number of pack.records.keys()) pack.readBriefly(number)
  return pack
}

function assertFilesComplete(bad: Fault[], commit: Commit, manifest: Manifest, found: FoundPieces): void {
  const file = incompleteFile(manifest, found)
  if (file === undefined) return
  bad.push(objectFault(commit.manifest.key, 'altered', `the pieces of ${file.path} do not make up the whole file`))
}

async function collectFault<Result>(bad: Fault[], work: () => Promise<Result>): Promise<Result | undefined> {
  try {
    return await work()
  } catch (error) {
    if (!(error instanceof Fault) || !isObjectFault(error)) throw error
    bad.push(error)
    return undefined
  }
}
