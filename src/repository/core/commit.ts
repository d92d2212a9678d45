import type { EpochMs } from '../../std/clock.ts'
import { factsFromJson, factsToJson, packReferenceOf, type BackupFacts, type PackReference } from './backup-facts.ts'
import { fieldsOf } from './json-fields.ts'

/** What makes a backup: an object that is written last, when everything it names is durable. */
export interface Commit {
  readonly committedAt: EpochMs
  readonly manifest: PackReference
  readonly facts: BackupFacts
}

export function commitToJson(commit: Commit): Record<string, unknown> {
  return {
    format: 1,
    committedAt: new Date(commit.committedAt).toISOString(),
    manifest: commit.manifest,
    facts: factsToJson(commit.facts),
  }
}

export function commitFromJson(value: unknown): Commit {
  const fields = fieldsOf(value, 'commit')
  return {
    committedAt: fields.time('committedAt'),
    manifest: packReferenceOf(fields.object('manifest')),
    facts: factsFromJson(fields.object('facts').raw, 'commit.facts'),
  }
}
