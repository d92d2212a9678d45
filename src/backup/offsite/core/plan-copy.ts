import type { PackReference } from '../../../repository/core/backup-facts.ts'
import type { Commit } from '../../../repository/core/commit.ts'
import {
  clusterObject,
  commitObject,
  dumpsPrefix,
  gapsPrefix,
  parseTailName,
  parseWalName,
  segmentNameAt,
  segmentObject,
  segmentStart,
  tailsPrefix,
  walPrefix,
} from '../../../repository/core/object-names.ts'

/** Sizes of objects by key. */
export type ObjectSizes = ReadonlyMap<string, number>

/** The first repository and a copy of it, as far as copying depends on them. */
export interface CopyView {
  readonly cluster: string
  /** Undefined before the first WAL or backup. */
  readonly walSegmentBytes: number | undefined
  /** Everything that is copied, but for packs and manifests, which the commits name. */
  readonly first: ObjectSizes
  readonly copy: ObjectSizes
  /** The listed backups of the first repository. */
  readonly commits: readonly Commit[]
}

export interface CopyItem {
  readonly key: string
  readonly sizeBytes: number
}

/** A backup that is not whole in the copy: some of its objects are missing, or only its commit. */
export interface BackupToCopy {
  readonly commit: Commit
  readonly commitBytes: number
  /** Its commit is in the copy: objects of it were lost there, and are brought back. */
  readonly listed: boolean
  readonly missing: readonly PackReference[]
}

/** The objects of one dump, the one that makes it a dump last. */
export interface DumpToCopy {
  readonly file: string
  readonly parts: readonly CopyItem[]
  readonly record: CopyItem
}

export interface CopyPlan {
  /** What comes before all else: restore kit, keys, `repository.json`, what the cluster is, and the gaps in its WAL. */
  readonly kit: readonly CopyItem[]
  /** Histories, then segments and tails in the order of the WAL. */
  readonly wal: readonly CopyItem[]
  /** The newest first: it is what a restore will want. */
  readonly backups: readonly BackupToCopy[]
  readonly dumps: readonly DumpToCopy[]
  /** Tails of the copy whose whole segment the copy has. */
  readonly superseded: readonly string[]
}

const kitOrder = ['RESTORE.md', 'restore.mjs', 'keys/', 'repository.json']

/**
 * Decides what a copy lacks and in which order it gets it. An object that both have with another size is in the plan as
 * well: whoever copies it looks what it is. What belongs to a place itself is never copied: sessions and announcements
 * of collections, holds, and what was proven of that place.
 */
export function planCopy(view: CopyView): CopyPlan {
  const { cluster, first, copy } = view
  const lacks = ([key, sizeBytes]: readonly [string, number]): boolean => copy.get(key) !== sizeBytes
  const item = ([key, sizeBytes]: readonly [string, number]): CopyItem => ({ key, sizeBytes })
  const missing = [...first].filter(lacks).map(item)
  const below = (prefix: string): readonly CopyItem[] => missing.filter(({ key }) => key.startsWith(prefix))
  const kitRank = ({ key }: CopyItem): number => kitOrder.findIndex((name) => key.startsWith(name))
  return {
    kit: [
      ...missing
        .filter((object) => kitRank(object) >= 0)
        .toSorted((a, b) => kitRank(a) - kitRank(b) || (a.key < b.key ? -1 : 1)),
      ...missing.filter(({ key }) => key === clusterObject(cluster)),
      ...below(gapsPrefix(cluster)),
    ],
    wal: planWal(view, [...below(walPrefix(cluster)), ...below(tailsPrefix(cluster))]),
    backups: view.commits.flatMap((commit) => planBackup(view, commit)).toReversed(),
    dumps: planDumps(first, below(dumpsPrefix(cluster))),
    superseded: supersededTails(view),
  }
}

/** Bytes of everything in a plan. */
export function planBytes(plan: CopyPlan): { readonly wal: number; readonly backups: number; readonly other: number } {
  const sum = (items: readonly CopyItem[]): number => items.reduce((total, { sizeBytes }) => total + sizeBytes, 0)
  const once = new Map(plan.backups.flatMap(({ missing }) => missing.map((object) => [object.key, object] as const)))
  const dumps = plan.dumps.flatMap(({ parts, record }) => [...parts, record])
  return { wal: sum(plan.wal), backups: sum([...once.values()]), other: sum([...plan.kit, ...dumps]) }
}

function planBackup({ cluster, first, copy }: CopyView, commit: Commit): readonly BackupToCopy[] {
  const key = commitObject(cluster, commit.facts.backup)
  const commitBytes = first.get(key)
  // It was listed a moment ago, and is not any more.
  if (commitBytes === undefined) return []
  const missing = [...commit.facts.packs, commit.manifest].filter((pack) => copy.get(pack.key) !== pack.sizeBytes)
  const listed = copy.get(key) === commitBytes
  return listed && missing.length === 0 ? [] : [{ commit, commitBytes, listed, missing }]
}

function planDumps(first: ObjectSizes, missing: readonly CopyItem[]): readonly DumpToCopy[] {
  const files = new Map<string, CopyItem[]>()
  for (const object of missing) {
    const file = dumpRecordOf(object.key)
    files.set(file, [...(files.get(file) ?? []), object])
  }
  return [...files].flatMap(([file, parts]) => {
    const sizeBytes = first.get(file)
    // Without its record it is no dump yet, and perhaps never will be one.
    if (sizeBytes === undefined) return []
    return [{ file, parts: parts.filter(({ key }) => key !== file), record: { key: file, sizeBytes } }]
  })
}

/** The key of the record of the dump that an object is a part of. */
function dumpRecordOf(key: string): string {
  return `${key.replace(/\.(json|sha256|\d{6})$/, '')}.json`
}

function planWal(view: CopyView, missing: readonly CopyItem[]): readonly CopyItem[] {
  const placed = missing.flatMap((object) => {
    const place = placeInWal(view, object.key)
    return place === undefined || place.supersededBy.some((key) => view.first.has(key)) ? [] : [{ object, place }]
  })
  return placed
    .toSorted(({ place: a, object: x }, { place: b, object: y }) => {
      if (a.rank !== b.rank) return a.rank - b.rank
      if (a.timeline !== b.timeline) return a.timeline - b.timeline
      return a.startLsn === b.startLsn ? (x.key < y.key ? -1 : 1) : a.startLsn < b.startLsn ? -1 : 1
    })
    .map(({ object }) => object)
}

interface WalPlace {
  readonly rank: number
  readonly timeline: number
  readonly startLsn: bigint
  /** The segment that makes a tail superfluous. */
  readonly supersededBy: readonly string[]
}

function placeInWal({ cluster, walSegmentBytes }: CopyView, key: string): WalPlace | undefined {
  if (walSegmentBytes === undefined) return undefined
  const [wal, tails] = [walPrefix(cluster), tailsPrefix(cluster)]
  if (key.startsWith(tails)) {
    const tail = parseTailName(key.slice(tails.length))
    if (tail === undefined) return undefined
    const segment = segmentObject(cluster, segmentNameAt(tail.timeline, tail.startLsn, walSegmentBytes))
    return { rank: 1, timeline: tail.timeline, startLsn: tail.startLsn, supersededBy: [segment] }
  }
  const found = parseWalName(key.slice(wal.length))
  if (found === undefined) return { rank: 2, timeline: 0, startLsn: 0n, supersededBy: [] }
  if (found.kind === 'history') return { rank: 0, timeline: found.timeline, startLsn: 0n, supersededBy: [] }
  const startLsn = segmentStart(found.name, walSegmentBytes)
  return { rank: 1, timeline: found.timeline, startLsn, supersededBy: [] }
}

function supersededTails(view: CopyView): readonly string[] {
  const tails = [...view.copy.keys()].filter((key) => key.startsWith(tailsPrefix(view.cluster)))
  return tails.filter((key) => placeInWal(view, key)?.supersededBy.some((segment) => view.copy.has(segment)))
}
