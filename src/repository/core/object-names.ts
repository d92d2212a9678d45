import type { Lsn, TimelineId } from '../../wal/core/lsn.ts'

/** Where everything is. A name says what an object is; nothing else depends on listing order. */
export const repositoryObject = 'repository.json'
export const guideObject = 'RESTORE.md'
export const restoreProgramObject = 'restore.mjs'
export const keysPrefix = 'keys/'
/** A data key that is being made, until every way in has it. */
export const nextKeyObject = 'next-key.asc'

const reservedNames: readonly string[] = ['keys', repositoryObject, guideObject, restoreProgramObject, nextKeyObject]
const clusterPattern = /^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/
const backupPattern = /^[0-9]{8}T[0-9]{6}Z-[0-9a-f]{8}$/
const segmentPattern = /^([0-9A-F]{8})[0-9A-F]{16}$/
const oddFilePattern = /^([0-9A-F]{8})[0-9A-F]{16}\.(partial|[0-9A-F]{8}\.backup)$/
const tailPattern = /^([0-9A-F]{8})\/([0-9A-F]{16})-([0-9A-F]{16})$/
const historyPattern = /^([0-9A-F]{8})\.history$/
const gapPattern = /^([0-9A-F]{8})-([0-9A-F]{16})-([0-9A-F]{16})$/

export function isClusterName(name: string): boolean {
  return clusterPattern.test(name) && !reservedNames.includes(name)
}

export function isBackupId(name: string): boolean {
  return backupPattern.test(name)
}

export function isSegmentName(name: string): boolean {
  return segmentPattern.test(name)
}

export const keyObject = (keyId: string): string => `${keysPrefix}${keyId}.asc`
export const clusterObject = (cluster: string): string => `${cluster}/cluster.json`
export const backupsPrefix = (cluster: string): string => `${cluster}/backups/`
export const manifestObject = (cluster: string, backup: string): string => `${backupsPrefix(cluster)}${backup}/manifest`
export const commitObject = (cluster: string, backup: string): string =>
  `${backupsPrefix(cluster)}${backup}/commit.json`
export const packsPrefix = (cluster: string, backup: string): string => `${cluster}/packs/${backup}/`
export const packObject = (cluster: string, backup: string, number: number): string =>
  `${packsPrefix(cluster, backup)}${String(number).padStart(6, '0')}`
/** The backup that wrote a pack, from its key. */
export const backupOfPack = (key: string): string => key.split('/').at(-2) ?? ''
export const sessionsPrefix = (cluster: string): string => `${cluster}/sessions/`
export const sessionObject = (cluster: string, backup: string): string => `${sessionsPrefix(cluster)}${backup}.json`
export const collectionsPrefix = (cluster: string): string => `${cluster}/gc/`
export const collectionObject = (cluster: string, collection: string): string =>
  `${collectionsPrefix(cluster)}${collection}.json`
export const holdsPrefix = (cluster: string): string => `${cluster}/holds/`
export const holdObject = (cluster: string, backup: string): string => `${holdsPrefix(cluster)}${backup}.json`
export const proofsPrefix = (cluster: string): string => `${cluster}/proofs/`
export const proofObject = (cluster: string, proof: string): string => `${proofsPrefix(cluster)}${proof}.json`
export const clusterPacksPrefix = (cluster: string): string => `${cluster}/packs/`
export const walPrefix = (cluster: string): string => `${cluster}/wal/`
export const tailsPrefix = (cluster: string): string => `${cluster}/tail/`
export const dumpsPrefix = (cluster: string): string => `${cluster}/dumps/`
export const dumpObject = (cluster: string, file: string): string => `${dumpsPrefix(cluster)}${file}`
export const dumpPartObject = (cluster: string, file: string, part: number): string =>
  `${dumpObject(cluster, file)}.${String(part).padStart(6, '0')}`
export const segmentObject = (cluster: string, name: string): string =>
  `${walPrefix(cluster)}${name.slice(0, 8)}/${name}`
/** Of a segment, of a partial one, or of a backup's label: they lie beside each other under PostgreSQL's names. */
export const walFileObject = (cluster: string, name: string): string => segmentObject(cluster, name)
export const historyObject = (cluster: string, timeline: TimelineId): string =>
  `${walPrefix(cluster)}${formatTimeline(timeline)}.history`
export const tailObject = (cluster: string, tail: TailName): string =>
  `${tailsPrefix(cluster)}${formatTimeline(tail.timeline)}/${formatPosition(tail.startLsn)}-${formatPosition(tail.endLsn)}`

export const gapsPrefix = (cluster: string): string => `${cluster}/gaps/`
export const gapObject = (cluster: string, gap: TailName): string => `${gapsPrefix(cluster)}${gapName(gap)}.json`

/** Of lost WAL: the same wherever and whenever it is found out. */
export function gapName({ timeline, startLsn, endLsn }: TailName): string {
  return `${formatTimeline(timeline)}-${formatPosition(startLsn)}-${formatPosition(endLsn)}`
}

/** What {@link gapName} was made from; undefined when the text is none. */
export function parseGapName(text: string): TailName | undefined {
  return rangeOf(gapPattern.exec(text))
}

export interface TailName {
  readonly timeline: TimelineId
  readonly startLsn: Lsn
  readonly endLsn: Lsn
}

export type WalName =
  | { readonly kind: 'segment'; readonly timeline: TimelineId; readonly name: string }
  | { readonly kind: 'history'; readonly timeline: TimelineId }
  /** What `archive_command` gives besides: the unfinished last segment of a timeline that was left, a backup's label. */
  | { readonly kind: 'partial' | 'label'; readonly timeline: TimelineId; readonly name: string }

/** What an object below {@link walPrefix} is, from the rest of its key; undefined when it is nothing of ours. */
export function parseWalName(rest: string): WalName | undefined {
  const history = historyPattern.exec(rest)
  if (history !== null) return { kind: 'history', timeline: parseTimeline(history[1] ?? '') }
  const [directory = '', name = '', ...more] = rest.split('/')
  const odd = oddFilePattern.exec(name)
  if (odd?.[1] === directory && more.length === 0) {
    return { kind: odd[2] === 'partial' ? 'partial' : 'label', timeline: parseTimeline(directory), name }
  }
  const segment = segmentPattern.exec(name)
  if (segment === null || segment[1] !== directory || more.length > 0) return undefined
  return { kind: 'segment', timeline: parseTimeline(directory), name }
}

/** What an object below {@link tailsPrefix} is, from the rest of its key; undefined when it is nothing of ours. */
export function parseTailName(rest: string): TailName | undefined {
  return rangeOf(tailPattern.exec(rest))
}

function rangeOf(match: RegExpExecArray | null): TailName | undefined {
  if (match === null) return undefined
  const [, timeline = '', start = '', end = ''] = match
  return {
    timeline: parseTimeline(timeline),
    startLsn: BigInt(`0x${start}`) as Lsn,
    endLsn: BigInt(`0x${end}`) as Lsn,
  }
}

/** The position at which a segment begins. */
export function segmentStart(name: string, walSegmentBytes: number): Lsn {
  const high = BigInt(`0x${name.slice(8, 16)}`)
  const low = BigInt(`0x${name.slice(16, 24)}`)
  return ((high << 32n) + low * BigInt(walSegmentBytes)) as Lsn
}

/** The name of the segment that holds a position. */
export function segmentNameAt(timeline: TimelineId, lsn: Lsn, walSegmentBytes: number): string {
  const number = lsn / BigInt(walSegmentBytes)
  const perHigh = 0x1_0000_0000n / BigInt(walSegmentBytes)
  return formatTimeline(timeline) + hex8(number / perHigh) + hex8(number % perHigh)
}

function formatTimeline(timeline: TimelineId): string {
  return hex8(BigInt(timeline))
}

function parseTimeline(text: string): TimelineId {
  return Number.parseInt(text, 16) as TimelineId
}

function formatPosition(lsn: Lsn): string {
  return lsn.toString(16).toUpperCase().padStart(16, '0')
}

function hex8(value: bigint): string {
  return value.toString(16).toUpperCase().padStart(8, '0')
}
