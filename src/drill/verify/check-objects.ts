import type { Commit } from '../../repository/core/commit.ts'
import { readCollections } from '../../repository/collection-notes.ts'
import {
  backupOfPack,
  backupsPrefix,
  commitObject,
  guideObject,
  manifestObject,
  packsPrefix,
  restoreProgramObject,
  sessionObject,
} from '../../repository/core/object-names.ts'
import { objectFault } from '../../repository/damage.ts'
import { isObjectFault } from '../../repository/catalogue.ts'
import { readClusterIdentity } from '../../repository/cluster-identity.ts'
import { openedKeys, readKeyObjects } from '../../repository/key-objects.ts'
import type { KeyAccess } from '../../repository/openpgp-keys.ts'
import { readGaps } from '../../repository/gaps.ts'
import { readHolds } from '../../repository/holds.ts'
import type { Repository } from '../../repository/repository.ts'
import { readRestoreProgram } from '../../repository/restore-kit/restore-program.ts'
import { readIfStored } from '../../repository/stored-objects.ts'
import { readHistory, walInventory } from '../../repository/wal-objects.ts'
import { readSessions } from '../../repository/sessions.ts'
import { verifyBackup, type KnownPacks } from '../../repository/verify.ts'
import { describeBytes } from '../../std/byte-size.ts'
import { Fault } from '../../std/fault.ts'
import type { StoreOptions } from '../../store/object-store.ts'
import { countedSeen, type Examination, type Seen } from './examination.ts'

/** L0: every object that the commit names is there, with the size that it says. Nothing is read. */
export async function checkPresence(
  { store }: Repository,
  commit: Commit,
  examination: Examination,
  options: StoreOptions,
): Promise<void> {
  await examination.check(0, 'objects present', async () => {
    const { facts, manifest } = commit
    const sizes = new Map<string, number>()
    const origins = new Set(facts.packs.map(({ key }) => backupOfPack(key)))
    for (const backup of origins) {
      for await (const { key, sizeBytes } of store.list(packsPrefix(facts.cluster, backup), options)) {
        sizes.set(key, sizeBytes)
      }
    }
    const manifestBytes = await store.size(manifest.key, options)
    if (manifestBytes !== undefined) sizes.set(manifest.key, manifestBytes)
    let bad = 0
    for (const { key, sizeBytes } of [manifest, ...facts.packs]) {
      const found = sizes.get(key)
      if (found === sizeBytes) continue
      bad += 1
      if (found === undefined)
        examination.findFault(0, objectFault(key, 'missing', `it is not in ${store.description}`))
      else
        examination.findFault(
          0,
          objectFault(key, 'truncated', `it has ${found} bytes, and was committed with ${sizeBytes}`),
        )
    }
    const total = [manifest, ...facts.packs].reduce((sum, { sizeBytes }) => sum + sizeBytes, 0)
    return countedSeen(
      bad,
      `${facts.packs.length + 1} objects, ${describeBytes(total)}`,
      'objects are missing or have another size',
    )
  })
  await examination.check(0, 'restore kit', () => checkKit({ store }, examination, options))
}

/**
 * L0 of the catalogue: a backup that was being committed has a session until its commit is there, and one that is being
 * removed is announced. A manifest with none of the three has lost its commit, and the backup is listed no more.
 */
export async function checkCatalogue(
  repository: Repository,
  cluster: string,
  examination: Examination,
  options: StoreOptions,
): Promise<void> {
  await examination.check(0, 'catalogue', async () => {
    const found = new Map<string, Set<string>>()
    const prefix = backupsPrefix(cluster)
    for await (const { key } of repository.store.list(prefix, options)) {
      const [backup = '', name = ''] = key.slice(prefix.length).split('/')
      found.set(backup, (found.get(backup) ?? new Set()).add(name))
    }
    const suspects = [...found].filter(([, names]) => names.has('manifest') && !names.has('commit.json'))
    const announced = await announcedBackups(repository, cluster, options)
    const lost: string[] = []
    for (const [backup] of suspects) {
      if (announced.has(backup)) continue
      const left = await Promise.all(
        [sessionObject, commitObject, manifestObject].map((name) =>
          repository.store.size(name(cluster, backup), options),
        ),
      )
      // Looked at again, since it may have been committed, or removed, in between.
      const [session, commit, manifest] = left.map((size) => size !== undefined)
      if (session !== true && commit !== true && manifest === true) lost.push(backup)
    }
    for (const backup of lost) {
      const key = commitObject(cluster, backup)
      examination.findFault(0, objectFault(key, 'missing', 'the manifest beside it says that the backup was complete'))
    }
    if (lost.length === 0) return { outcome: 'passed', text: `${found.size} backups, none without its commit` }
    return { outcome: 'doubtful', text: `the commit is gone of ${lost.join(', ')}: listed no more` }
  })
}

/** Backups that a collection said it would remove. A note that cannot be read is told at level 1. */
async function announcedBackups(
  repository: Repository,
  cluster: string,
  options: StoreOptions,
): Promise<ReadonlySet<string>> {
  try {
    return new Set((await readCollections(repository, cluster, options)).flatMap(({ backups }) => backups))
  } catch (error) {
    if (error instanceof Fault && isObjectFault(error)) return new Set()
    throw error
  }
}

/** The program and the instructions for a restore without Holdfast. */
async function checkKit(
  { store }: Pick<Repository, 'store'>,
  examination: Examination,
  options: StoreOptions,
): Promise<Seen> {
  let bad = 0
  for (const key of [guideObject, restoreProgramObject]) {
    const found = await store.size(key, options)
    if (found !== undefined && found > 0) continue
    bad += 1
    examination.findFault(0, objectFault(key, 'missing', 'without it nothing restores when Holdfast is not at hand'))
  }
  if (bad > 0) return { outcome: 'failed', text: 'RESTORE.md or restore.mjs is missing' }
  const program = await readIfStored(store, restoreProgramObject, options)
  const same = program !== undefined && Buffer.compare(program, await readRestoreProgram()) === 0
  return {
    outcome: 'passed',
    text: same
      ? 'RESTORE.md and the restore.mjs of this version'
      : 'RESTORE.md and restore.mjs; the latter is not the one of this version, so what is in it was not compared',
  }
}

/** L1: every byte is read, its SHA-256 and its authentication tag checked. Part of L2: the maps resolve. */
export async function checkContents(
  repository: Repository,
  commit: Commit,
  examination: Examination,
  options: StoreOptions & {
    readonly access: KeyAccess
    readonly resolve: boolean
    readonly known: KnownPacks
    readonly onBytes: (done: number, total: number) => void
  },
): Promise<void> {
  let damaged: readonly Fault[] = []
  let misfits: readonly Fault[] = []
  await examination.check(1, 'contents of the backup', async () => {
    const verified = await verifyBackup(repository, commit, {
      ...options,
      onProgress: ({ checkedBytes, totalBytes }) => options.onBytes(checkedBytes, totalBytes),
    })
    const { objectCount, sizeBytes } = verified
    misfits = verified.misfits
    damaged = verified.bad.filter((fault) => !misfits.includes(fault))
    for (const fault of damaged) examination.findFault(1, fault)
    return countedSeen(
      damaged.length,
      `${objectCount} objects, ${describeBytes(sizeBytes)}: every hash and every authentication tag`,
      'objects are damaged',
    )
  })
  await examination.check(1, 'what belongs to the repository', () =>
    checkSmallObjects(repository, commit, examination, options),
  )
  if (!options.resolve) return
  await examination.check(2, 'page maps', async () => {
    for (const fault of misfits) examination.findFault(2, fault)
    if (damaged.length > 0) return { outcome: 'skipped', text: 'objects are damaged, so that the maps lead nowhere' }
    const { fileCount } = commit.facts
    return countedSeen(
      misfits.length,
      `all pages and parts of ${fileCount} files are where the maps say`,
      'maps are wrong',
    )
  })
}

/** Keys, the cluster's identity, holds, gap records and timeline histories. */
async function checkSmallObjects(
  repository: Repository,
  commit: Commit,
  examination: Examination,
  options: StoreOptions & { readonly access: KeyAccess },
): Promise<Seen> {
  const { cluster } = commit.facts
  let bad = 0
  const collect = async (work: () => Promise<unknown>): Promise<void> => {
    try {
      await work()
    } catch (error) {
      if (!(error instanceof Fault) || !isObjectFault(error)) throw error
      bad += 1
      examination.findFault(1, error)
    }
  }
  const keys = await readKeyObjects(repository.store, repository.id, { ...options.access, ...options })
  const opened = new Set(openedKeys(keys).map(({ id }) => id))
  for (const { object, state, dataKey } of keys) {
    if (state.kind === 'damaged') {
      bad += 1
      examination.findFault(1, objectFault(object, state.because.problem, state.because.message))
    } else if (state.kind === 'closed' && dataKey !== undefined && !opened.has(dataKey)) {
      bad += 1
      examination.findFault(
        1,
        objectFault(object, 'key-missing', 'the configured key does not open it, nor another for it'),
      )
    }
  }
  await collect(() => readClusterIdentity(repository, cluster, options))
  await collect(() => readHolds(repository, cluster, options))
  await collect(() => readCollections(repository, cluster, options))
  await collect(() => readSessions(repository, cluster, options))
  const gaps = await readGaps(repository, cluster, options)
  const { histories } = await walInventory(repository, cluster, options)
  for (const timeline of histories) await collect(() => readHistory(repository, { cluster, timeline }, options))
  for (const gap of gaps.filter(({ foundAt }) => foundAt === null)) {
    bad += 1
    examination.find({ level: 1, message: `Cannot use the record of gap ${gap.id}: ${gap.because}` })
  }
  const closed = keys.filter(({ state }) => state.kind === 'closed').length
  const foreign = closed === 0 ? '' : ` (${closed} key objects are for others and could not be tried)`
  return countedSeen(
    bad,
    `keys${foreign}, identity, holds, sessions, gap records and timeline histories open`,
    'objects are damaged',
  )
}
