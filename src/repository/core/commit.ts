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

/**
 * What a collection puts in the place of the commit of a backup that it takes for dead, before it removes what there is of
 * it: so that this backup, should it be alive after all, can never be committed. It stays for good.
 */
export function tombstoneToJson(place: {
  readonly repositoryId: string
  readonly cluster: string
  readonly backup: string
}): Record<string, unknown> {
  return { format: 1, collected: true, ...place }
}

export function isTombstone(value: unknown): boolean {
  return typeof value === 'object' && value !== null && 'collected' in value && value.collected === true
}
