import type { EpochMs } from '../../../std/clock.ts'
import { fieldsOf } from '../../../repository/core/json-fields.ts'
import type { DumpContent } from './dump-name.ts'

/** What the JSON beside a dump says. It is written last, so a dump that has one is complete. */
export interface DumpRecord {
  readonly file: string
  readonly outcome: 'ok'
  readonly cluster: string
  readonly node: string
  /** Null for the roles and other things that belong to no database. */
  readonly database: string | null
  readonly content: DumpContent
  readonly startedAt: EpochMs
  readonly endedAt: EpochMs
  readonly durationMs: number
  /** Of the file. */
  readonly sizeBytes: number
  readonly fileSha256: string
  /** Of what pg_dump wrote. */
  readonly plainBytes: number
  /** Of the database on disk; 0 for globals. */
  readonly databaseBytes: number
  /** In the database when it was dumped; for globals, the number of roles. */
  readonly tables: number
  readonly serverVersion: string
  readonly toolVersion: string
  /** How many objects of a repository it is in; 1 in a directory. */
  readonly parts: number
}

export function dumpRecordToJson(record: DumpRecord): Readonly<Record<string, unknown>> {
  return {
    format: 1,
    ...record,
    startedAt: new Date(record.startedAt).toISOString(),
    endedAt: new Date(record.endedAt).toISOString(),
  }
}

/** Reads a record back; throws `Malformed`. */
export function dumpRecordFromJson(value: unknown): DumpRecord {
  const fields = fieldsOf(value, 'dump')
  return {
    file: fields.text('file'),
    outcome: fields.choice('outcome', ['ok']),
    cluster: fields.text('cluster'),
    node: fields.text('node'),
    database: fields.optionalText('database'),
    content: fields.choice('content', ['custom', 'plain']),
    startedAt: fields.time('startedAt'),
    endedAt: fields.time('endedAt'),
    durationMs: fields.integer('durationMs'),
    sizeBytes: fields.integer('sizeBytes'),
    fileSha256: fields.text('fileSha256', /^[0-9a-f]{64}$/),
    plainBytes: fields.integer('plainBytes'),
    databaseBytes: fields.integer('databaseBytes'),
    tables: fields.integer('tables'),
    serverVersion: fields.text('serverVersion'),
    toolVersion: fields.text('toolVersion'),
    parts: fields.integer('parts', 1),
  }
}
