import { randomBytes } from 'node:crypto'
import type { EpochMs } from '../std/clock.ts'
import type { StoreOptions } from '../store/object-store.ts'
import { decodeCheckedJson, encodeCheckedJson } from './checked-json.ts'
import { proofObject, proofsPrefix } from './core/object-names.ts'
import { expiredProofs, parseProofName, proofName, type ProofName } from './core/proof-name.ts'
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
