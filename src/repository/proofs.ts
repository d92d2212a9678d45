import { randomBytes } from 'node:crypto'
import type { EpochMs } from '../std/clock.ts'
import { Fault } from '../std/fault.ts'
import type { StoreOptions } from '../store/object-store.ts'
import { isObjectFault } from './catalogue.ts'
import { decodeCheckedJson, encodeCheckedJson } from './checked-json.ts'
import { proofObject, proofsPrefix } from './core/object-names.ts'
import {
  expiredProofs,
  lastProven,
  parseProofName,
  proofName,
  type ProofName,
  type VerificationLevel,
} from './core/proof-name.ts'
import { keyTestToJson, proofFromJson, proofToJson, type KeyTestRecord, type VerificationProof } from './core/proof.ts'
import { assertClusterName, type RepositoryPlace } from './repository.ts'
import { readStored, storeOnce } from './stored-objects.ts'

/** Keeps what was seen in a verification; gives the id of the proof. */
export async function recordProof(
  { store }: RepositoryPlace,
  proof: VerificationProof,
  options: StoreOptions = {},
): Promise<string> {
  const { startedAt: at, place } = proof
  const id = proofName({ at, place, result: proof, random: randomBytes(4).toString('hex') })
  await storeOnce(store, proofObject(proof.cluster, id), encodeCheckedJson(proofToJson(proof)), options)
  return id
}

/** Keeps what was seen in a key test, whose repository may be shut to us; gives its id. */
export async function recordKeyTest(
  { store }: RepositoryPlace,
  record: KeyTestRecord,
  options: StoreOptions = {},
): Promise<string> {
  const { testedAt: at, place } = record
  const id = proofName({ at, place, result: { passed: record.passed }, random: randomBytes(4).toString('hex') })
  await storeOnce(store, proofObject(record.cluster, id), encodeCheckedJson(keyTestToJson(record)), options)
  return id
}

/** Every proof and key test of a cluster, by name alone, the oldest first. */
export async function listProofs(
  { store }: RepositoryPlace,
  cluster: string,
  options: StoreOptions = {},
): Promise<readonly ProofName[]> {
  assertClusterName(cluster)
  const prefix = proofsPrefix(cluster)
  const names: ProofName[] = []
  for await (const { key } of store.list(prefix, options)) {
    const name = key.endsWith('.json') ? parseProofName(key.slice(prefix.length, -'.json'.length)) : undefined
    if (name !== undefined) names.push(name)
  }
  return names
}

/** Throws `repository-object-missing` or `repository-object-damaged`. */
export async function readProof(
  { store }: RepositoryPlace,
  { cluster, id }: { readonly cluster: string; readonly id: string },
  options: StoreOptions = {},
): Promise<VerificationProof> {
  const object = proofObject(cluster, id)
  return decodeCheckedJson(object, await readStored(store, object, options), proofFromJson)
}

/** Removes proofs from before a moment, except the newest of every kind; gives how many went. */
export async function expireProofs(
  place: RepositoryPlace,
  {
    cluster,
    olderThan,
    dryRun = false,
  }: { readonly cluster: string; readonly olderThan: EpochMs; readonly dryRun?: boolean },
  options: StoreOptions = {},
): Promise<number> {
  const expired = expiredProofs(await listProofs(place, cluster, options), olderThan)
  if (!dryRun) for (const { id } of expired) await place.store.delete(proofObject(cluster, id), options)
  return expired.length
}

/** What was proven of a repository last, and how it went since. */
export interface ProofSummary {
  /** The newest proof of the highest level that was ever proven. */
  readonly highest: VerificationProof | null
  /** The newest verification, whatever came of it. */
  readonly last: VerificationProof | null
  readonly lastKeyTest: { readonly at: EpochMs; readonly passed: boolean } | null
  /** When each level was last proven. */
  readonly provenAt: Readonly<Record<VerificationLevel, EpochMs | null>>
}

/** A proof that cannot be read counts as none: it proves nothing any more. */
export async function summarizeProofs(
  repository: RepositoryPlace,
  { cluster, place }: { readonly cluster: string; readonly place: string },
  options: StoreOptions = {},
): Promise<ProofSummary> {
  const names = (await listProofs(repository, cluster, options)).filter((name) => name.place === place)
  const proven = lastProven(names, place)
  const newest = names.toSorted((a, b) => b.at - a.at)
  const read = async (name: ProofName | undefined | null): Promise<VerificationProof | null> => {
    if (name === undefined || name === null) return null
    try {
      return await readProof(repository, { cluster, id: name.id }, options)
    } catch (error) {
      if (error instanceof Fault && isObjectFault(error)) return null
      throw error
    }
  }
  const keyTest = newest.find(({ kind }) => kind === 'keys')
  return {
    highest: await read(
      [4, 3, 2, 1, 0].map((level) => proven[level as VerificationLevel]).find((name) => name !== null),
    ),
    last: await read(newest.find(({ kind }) => kind === 'verification')),
    lastKeyTest: keyTest?.kind === 'keys' ? { at: keyTest.at, passed: keyTest.passed } : null,
    provenAt: {
      0: proven[0]?.at ?? null,
      1: proven[1]?.at ?? null,
      2: proven[2]?.at ?? null,
      3: proven[3]?.at ?? null,
      4: proven[4]?.at ?? null,
    },
  }
}
