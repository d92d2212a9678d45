import { decodeCheckedJson } from '../../repository/checked-json.ts'
import { dumpsPrefix } from '../../repository/core/object-names.ts'
import type { RetentionPolicy } from '../../repository/core/retention.ts'
import { assertClusterName, type Repository } from '../../repository/repository.ts'
import { readIfStored } from '../../repository/stored-objects.ts'
import type { Clock, EpochMs } from '../../std/clock.ts'
import { Fault } from '../../std/fault.ts'
import type { StoreOptions, StoredObject } from '../../store/object-store.ts'
import { dumpRecordFromJson } from './core/dump-record.ts'
import type { DumpRecord } from './core/dump-record.ts'
import { decideDumpRetention } from './core/dump-retention.ts'
import type { DumpVerdict } from './core/dump-retention.ts'
import { recordName } from './dump-sink.ts'

/** Objects of a dump that has no record are left alone for so long: it may still be written. */
const unfinishedMs = 3 * 86_400_000

export interface DumpExpiry {
  /** Every dump that can be judged, in the order in which they ended. */
  readonly verdicts: readonly DumpVerdict[]
  /** Dumps whose record cannot be read. They stay: nobody can tell how old they are, or what they are. */
  readonly damaged: readonly { readonly file: string; readonly because: string }[]
  /** What is left of dumps that were never completed, and of dumps that went only in part. */
  readonly leftovers: readonly string[]
  readonly removed: readonly StoredObject[]
  readonly kept: { readonly count: number; readonly sizeBytes: number }
}

/**
 * Removes the dumps that no rule keeps. The record goes first: from then on the rest is no dump any more, but leftovers,
 * which the next expiry removes if this one does not get that far.
 */
export async function expireDumps(
  repository: Repository,
  cluster: string,
  policy: RetentionPolicy,
  options: StoreOptions & {
    readonly clock: Pick<Clock, 'wall'>
    /**
     * The first repository, where this one is a copy of it: what the first has stays in the copy. When the first has no dump
     * at all nothing goes: whoever emptied it must not empty the copy as well.
     */
    readonly first?: Repository | undefined
    /** Only decides; removes nothing. */
    readonly dryRun?: boolean | undefined
    readonly onProgress?: ((progress: { readonly done: number; readonly total: number }) => void) | undefined
  },
): Promise<DumpExpiry> {
  assertClusterName(cluster)
  const now = options.clock.wall()
  const files = await dumpObjects(repository, cluster, options)
  const records: DumpRecord[] = []
  const damaged: { file: string; because: string }[] = []
  const leftovers: string[] = []
  for (const [file, objects] of files) {
    const key = `${dumpsPrefix(cluster)}${recordName(file)}`
    // Asked for again: a dump may have been completed since it was listed.
    const json = await readIfStored(repository.store, key, options)
    if (json === undefined) {
      const completed = objects.some((object) => object.key === key)
      if (completed || startedAt(file) < now - unfinishedMs) leftovers.push(file)
      continue
    }
    try {
      records.push(decodeCheckedJson(key, json, dumpRecordFromJson))
    } catch (error) {
      if (!(error instanceof Fault)) throw error
      damaged.push({ file, because: error.message })
    }
  }
  // Asked for last: what is copied while we look is in the first repository.
  const kept = options.first === undefined ? new Map() : await dumpObjects(options.first, cluster, options)
  const verdicts = decideDumpRetention(records, { policy, now }).map((verdict): DumpVerdict => {
    if (verdict.keep) return verdict
    if (kept.has(verdict.dump.file)) return { ...verdict, keep: true, because: ['the first repository has it'] }
    const emptied = options.first !== undefined && kept.size === 0
    return emptied ? { ...verdict, keep: true, because: ['the first repository has no dump at all'] } : verdict
  })
  const gone = leftovers.filter((file) => !kept.has(file))
  const going = [...verdicts.filter(({ keep }) => !keep).map(({ dump }) => dump.file), ...gone]
  const removed = going.flatMap((file) => recordFirst(files.get(file) ?? [], file))
  if (options.dryRun !== true) {
    for (const [done, { key }] of removed.entries()) {
      options.onProgress?.({ done, total: removed.length })
      await repository.store.delete(key, options)
    }
  }
  const staying = verdicts.filter(({ keep }) => keep).map(({ dump }) => dump.sizeBytes)
  const total = { count: staying.length, sizeBytes: staying.reduce((sum, size) => sum + size, 0) }
  return { verdicts, damaged, leftovers: gone, removed, kept: total }
}

/** Every object of each dump, complete or not, by the file that it is of. */
async function dumpObjects(
  repository: Repository,
  cluster: string,
  options: StoreOptions,
): Promise<ReadonlyMap<string, readonly StoredObject[]>> {
  const prefix = dumpsPrefix(cluster)
  const files = new Map<string, StoredObject[]>()
  for await (const object of repository.store.list(prefix, options)) {
    const [, file] = /^(.*\.(?:dump|sql)\.gpg)(?:\.json|\.sha256|\.\d{6})?$/.exec(object.key.slice(prefix.length)) ?? []
    if (file === undefined) continue
    const known = files.get(file)
    if (known === undefined) files.set(file, [object])
    else known.push(object)
  }
  return files
}

/** When the run of a dump began, from its name; at the end of time when the name does not say. */
function startedAt(file: string): EpochMs {
  const [, date = '', time = ''] = /-(\d{8})T(\d{6})Z-[0-9a-f]{8}\.(?:dump|sql)\.gpg$/.exec(file) ?? []
  const iso = `${date.slice(0, 4)}-${date.slice(4, 6)}-${date.slice(6)}T${time.slice(0, 2)}:${time.slice(2, 4)}:${time.slice(4)}Z`
  const at = Date.parse(iso)
  return (Number.isNaN(at) ? Number.POSITIVE_INFINITY : at) as EpochMs
}

function recordFirst(objects: readonly StoredObject[], file: string): readonly StoredObject[] {
  const isRecord = ({ key }: StoredObject): boolean => key.endsWith(`/${recordName(file)}`)
  return [...objects.filter(isRecord), ...objects.filter((object) => !isRecord(object))]
}
