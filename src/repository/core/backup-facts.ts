import type { EpochMs } from '../../std/clock.ts'
import { formatLsn, type Lsn, type TimelineId } from '../../wal/core/lsn.ts'
import { fieldsOf, type Fields } from './json-fields.ts'
import { Malformed } from './malformed.ts'

/** What is known of a backup. The manifest has it encrypted, the commit in the clear; readers compare the two. */
export interface BackupFacts {
  readonly repositoryId: string
  readonly cluster: string
  readonly backup: string
  readonly kind: 'full' | 'incremental'
  readonly parent: string | null
  readonly startedAt: EpochMs
  readonly stoppedAt: EpochMs
  readonly systemIdentifier: bigint
  /** PostgreSQL's `server_version_num`: 150018. */
  readonly postgresVersion: number
  /** The node it was taken from, and what that was then. */
  readonly node: string | null
  readonly role: 'primary' | 'standby'
  readonly timeline: TimelineId
  /** Recovery needs WAL from `startLsn` on, and is consistent from `stopLsn` on. */
  readonly startLsn: Lsn
  readonly stopLsn: Lsn
  readonly walSegmentBytes: number
  readonly pageBytes: number
  readonly pageChecksums: boolean
  /** Pages whose checksum was wrong in the data directory and that nothing repairs. */
  readonly damagedPages: readonly DamagedPage[]
  readonly labels: Readonly<Record<string, string>>
  readonly fileCount: number
  /** Sum of the sizes of all files. */
  readonly dataBytes: number
  /** Every pack that the page maps refer to, by number; a parent's packs included. */
  readonly packs: readonly PackReference[]
}

export interface DamagedPage {
  readonly path: string
  readonly page: number
}

export interface PackReference {
  readonly key: string
  readonly sha256: string
  readonly sizeBytes: number
}

export const sha256Pattern = /^[0-9a-f]{64}$/

/** Facts as JSON: LSNs as PostgreSQL writes them, times in ISO 8601, the system identifier as a text. */
export function factsToJson(facts: BackupFacts): Record<string, unknown> {
  return {
    ...facts,
    startedAt: new Date(facts.startedAt).toISOString(),
    stoppedAt: new Date(facts.stoppedAt).toISOString(),
    systemIdentifier: facts.systemIdentifier.toString(),
    startLsn: formatLsn(facts.startLsn),
    stopLsn: formatLsn(facts.stopLsn),
  }
}

/** Reads facts from parsed JSON. Throws {@link Malformed} naming the first field that is wrong. */
export function factsFromJson(value: unknown, where: string): BackupFacts {
  const fields = fieldsOf(value, where)
  if (fields.lsn('stopLsn') < fields.lsn('startLsn'))
    throw new Malformed('altered', `${where}.stopLsn is before startLsn`)
  return {
    repositoryId: fields.text('repositoryId'),
    cluster: fields.text('cluster'),
    backup: fields.text('backup'),
    kind: fields.choice('kind', ['full', 'incremental']),
    parent: fields.optionalText('parent'),
    startedAt: fields.time('startedAt'),
    stoppedAt: fields.time('stoppedAt'),
    systemIdentifier: BigInt(fields.text('systemIdentifier', /^[0-9]{1,20}$/)),
    postgresVersion: fields.integer('postgresVersion', 1),
    node: fields.optionalText('node'),
    role: fields.choice('role', ['primary', 'standby']),
    timeline: fields.integer('timeline', 1) as TimelineId,
    startLsn: fields.lsn('startLsn'),
    stopLsn: fields.lsn('stopLsn'),
    walSegmentBytes: fields.integer('walSegmentBytes', 1),
    pageBytes: fields.integer('pageBytes', 1),
    pageChecksums: fields.flag('pageChecksums'),
    damagedPages: fields
      .objects('damagedPages')
      .map((page) => ({ path: page.text('path'), page: page.integer('page') })),
    labels: fields.texts('labels'),
    fileCount: fields.integer('fileCount'),
    dataBytes: fields.integer('dataBytes'),
    packs: fields.objects('packs').map(packReferenceOf),
  }
}

/** True when both say the same. */
export function sameFacts(a: BackupFacts, b: BackupFacts): boolean {
  const canonical = (facts: BackupFacts): string =>
    JSON.stringify(factsToJson(factsFromJson(factsToJson(facts), 'facts')), (_, value: unknown) =>
      typeof value === 'object' && value !== null && !Array.isArray(value)
        ? Object.fromEntries(Object.entries(value).toSorted(([left], [right]) => (left < right ? -1 : 1)))
        : value,
    )
  return canonical(a) === canonical(b)
}

export function packReferenceOf(fields: Fields): PackReference {
  return {
    key: fields.text('key'),
    sha256: fields.text('sha256', sha256Pattern),
    sizeBytes: fields.integer('sizeBytes', 1),
  }
}
