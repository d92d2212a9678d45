import type { EpochMs } from '../../std/clock.ts'
import { formatLsn, type Lsn, type TimelineId } from '../../wal/core/lsn.ts'
import { fieldsOf, type Fields } from './json-fields.ts'
import { verificationLevels, type VerificationLevel } from './proof-name.ts'

/** One thing that was looked at. `doubtful`: nothing is broken, but somebody should look; `skipped`: it was not done. */
export interface ProofCheck {
  readonly level: VerificationLevel
  readonly name: string
  readonly outcome: 'passed' | 'doubtful' | 'failed' | 'skipped'
  /** What was seen, or why it was not looked at. */
  readonly text: string
  readonly durationMs: number
}

/** Something that is damaged, as exactly as it is known. */
export interface ProofFinding {
  readonly level: VerificationLevel
  readonly message: string
  readonly object: string | null
  /** A file of the data directory, the number of the page in its fork, and the relation it belongs to. */
  readonly path: string | null
  readonly block: number | null
  readonly relation: string | null
}

/**
 * What was seen when a backup was verified; a small object that is never changed. It says what was observed and nothing
 * else (law L11): what was left out stands among the checks as skipped.
 */
export interface VerificationProof {
  readonly repositoryId: string
  readonly cluster: string
  /** What the configuration calls the repository, and where that was. */
  readonly place: string
  readonly store: string
  readonly backup: string
  /** Null when the commit of the backup cannot be read. */
  readonly backupStoppedAt: EpochMs | null
  readonly requested: VerificationLevel
  readonly proven: VerificationLevel | null
  readonly outcome: 'passed' | 'doubtful' | 'incomplete' | 'failed'
  readonly startedAt: EpochMs
  readonly durationMs: number
  readonly node: string
  readonly version: string
  /** The server that opened the restored copy; null when none did. */
  readonly postgres: string | null
  readonly timeline: TimelineId | null
  /** Up to where the WAL was read, and replayed where the level is 3 or more; the last commit before that. */
  readonly provenLsn: Lsn | null
  readonly provenTime: EpochMs | null
  /** What can still be restored, where something failed. */
  readonly restorable: string | null
  readonly checks: readonly ProofCheck[]
  /** The first of them; `findingCount` counts all. */
  readonly findings: readonly ProofFinding[]
  readonly findingCount: number
}

/** More damage than this is counted, not listed. */
export const mostFindings = 100

export function proofToJson(proof: VerificationProof): Record<string, unknown> {
  return {
    format: 1,
    kind: 'verification',
    ...proof,
    backupStoppedAt: timeOrNull(proof.backupStoppedAt),
    startedAt: new Date(proof.startedAt).toISOString(),
    provenLsn: proof.provenLsn === null ? null : formatLsn(proof.provenLsn),
    provenTime: timeOrNull(proof.provenTime),
  }
}

export function proofFromJson(value: unknown): VerificationProof {
  const fields = fieldsOf(value, 'proof')
  fields.choice('kind', ['verification'])
  return {
    repositoryId: fields.text('repositoryId'),
    cluster: fields.text('cluster'),
    place: fields.text('place'),
    store: fields.text('store'),
    backup: fields.text('backup'),
    backupStoppedAt: optionalTime(fields, 'backupStoppedAt'),
    requested: levelOf(fields, 'requested') ?? 0,
    proven: levelOf(fields, 'proven'),
    outcome: fields.choice('outcome', ['passed', 'doubtful', 'incomplete', 'failed']),
    startedAt: fields.time('startedAt'),
    durationMs: fields.integer('durationMs'),
    node: fields.text('node'),
    version: fields.text('version'),
    postgres: fields.optionalText('postgres'),
    timeline: fields.optionalInteger('timeline', 1) as TimelineId | null,
    provenLsn: fields.optionalText('provenLsn') === null ? null : fields.lsn('provenLsn'),
    provenTime: optionalTime(fields, 'provenTime'),
    restorable: fields.optionalText('restorable'),
    checks: fields.objects('checks').map((check) => ({
      level: levelOf(check, 'level') ?? 0,
      name: check.text('name'),
      outcome: check.choice('outcome', ['passed', 'doubtful', 'failed', 'skipped']),
      text: check.text('text'),
      durationMs: check.integer('durationMs'),
    })),
    findings: fields.objects('findings').map((finding) => ({
      level: levelOf(finding, 'level') ?? 0,
      message: finding.text('message'),
      object: finding.optionalText('object'),
      path: finding.optionalText('path'),
      block: finding.optionalInteger('block'),
      relation: finding.optionalText('relation'),
    })),
    findingCount: fields.integer('findingCount'),
  }
}

function timeOrNull(time: EpochMs | null): string | null {
  return time === null ? null : new Date(time).toISOString()
}

function optionalTime(fields: Fields, name: string): EpochMs | null {
  return fields.optionalText(name) === null ? null : fields.time(name)
}

function levelOf(fields: Fields, name: string): VerificationLevel | null {
  const level = fields.optionalInteger(name)
  return verificationLevels.find((candidate) => candidate === level) ?? null
}

/** What a key test saw; kept like a proof. */
export interface KeyTestRecord {
  readonly repositoryId: string
  readonly cluster: string
  readonly place: string
  readonly store: string
  readonly testedAt: EpochMs
  readonly node: string
  readonly version: string
  readonly passed: boolean
  /** Each secret by the setting that names its file, never the file's content. */
  readonly secrets: readonly { readonly setting: string; readonly passed: boolean; readonly text: string }[]
}

export function keyTestToJson(record: KeyTestRecord): Record<string, unknown> {
  return { format: 1, kind: 'keys', ...record, testedAt: new Date(record.testedAt).toISOString() }
}
