import { createSecretKey, randomBytes } from 'node:crypto'
import type { Clock } from '../std/clock.ts'
import { Fault } from '../std/fault.ts'
import type { StoreOptions } from '../store/object-store.ts'
import type { Secret } from '../std/secret.ts'
import { keyObjectOf } from './core/key-names.ts'
import { nextKeyObject } from './core/object-names.ts'
import { repositoryFaults } from './faults.ts'
import { requireAllOpened, storeWrapped } from './give-access.ts'
import { readKeyObjects, type KeyObject } from './key-objects.ts'
import {
  openKeyMessage,
  recipientKeyIds,
  wrapKey,
  type KeyAccess,
  type KeyRecipients,
  type WrappedKey,
} from './openpgp-keys.ts'
import type { RepositoryPlace } from './repository.ts'
import { readIfStored, readStored, storeOnce } from './stored-objects.ts'

export interface DataKeyRotation {
  readonly dataKey: string
  readonly objects: readonly string[]
  /** Of a rotation that did not come to its end earlier, and has now. */
  readonly resumed: boolean
}

interface RotationRequest {
  /** What the nodes open the repository with. */
  readonly access: KeyAccess
  /** Further passphrases, and the public keys of recipients, of other ways in. */
  readonly passphrases: readonly Secret[]
  readonly recipients: readonly string[]
}

/**
 * Makes a new data key, which seals every object from now on; what there is stays as it is and is read with the old key.
 * It is wrapped for every way in that the repository has, so that none of them opens less than before. Throws
 * `repository-key-uncovered`, before anything is written, when the passphrase or a public key for one is not at hand.
 *
 * Who opens the repository seals with the newest key that it can open. So the objects that a passphrase opens, which is
 * what nodes use, come last, and that of `access` very last. Until then the new key lies, for `access`, in an object of
 * its own outside of `keys/`: after a crash it is found there, and the same rotation is brought to its end.
 */
export async function rotateDataKey(
  repository: RepositoryPlace,
  request: RotationRequest,
  options: StoreOptions & { readonly clock: Pick<Clock, 'wall'> },
): Promise<DataKeyRotation> {
  const { store, id } = repository
  const pending = await readPending(repository, request.access, options)
  const objects = await readKeyObjects(store, id, { ...request.access, ...options })
  const present = objects.filter(({ dataKey }) => pending === undefined || dataKey !== pending.id)
  const [newest] = requireAllOpened(repository, present)
  if (newest === undefined) throw new Error('an opened repository has no data key')
  const ways = [...new Set(present.map(({ way }) => way))]
  const plans = await Promise.all(ways.map((way) => planWay(repository, { way, newest, present }, request, options)))
  const uncovered = plans.filter(({ to }) => to === undefined).map(({ way }) => way)
  if (uncovered.length > 0) throw notCovered(repository, uncovered)
  const key = pending ?? (await storePending(repository, newest, request.access, plans, options))
  const stored: string[] = []
  for (const { way, to } of plans.toSorted((a, b) => a.rank - b.rank)) {
    if (to !== undefined) await storeWrapped(store, { key, way, to }, options)
    stored.push(keyObjectOf(key.id, way))
  }
  await store.delete(nextKeyObject, options)
  return { dataKey: key.id, objects: stored, resumed: pending !== undefined }
}

async function readPending(
  repository: RepositoryPlace,
  access: KeyAccess,
  options: StoreOptions,
): Promise<WrappedKey | undefined> {
  const bytes = await readIfStored(repository.store, nextKeyObject, options)
  if (bytes === undefined) return undefined
  const { key } = await openKeyMessage(bytes, access)
  if (key?.repositoryId === repository.id) return key
  throw new Fault(
    repositoryFaults['repository-wrong-key'],
    `Cannot go on with the rotation in ${repository.store.description}: the passphrase or private key does not open ${nextKeyObject}`,
    { details: { object: nextKeyObject }, hint: 'Run it with the configuration of the rotation that was interrupted.' },
  )
}

/** With a private key alone the pending key is for the recipients of the way that it opens. */
async function storePending(
  repository: RepositoryPlace,
  newest: WrappedKey,
  access: KeyAccess,
  plans: readonly WayPlan[],
  options: StoreOptions & { readonly clock: Pick<Clock, 'wall'> },
): Promise<WrappedKey> {
  const key = nextKey(repository.id, newest, options.clock)
  const own = plans.toSorted((a, b) => b.rank - a.rank)[0]?.to
  const to = access.passphrase === undefined ? own : { passphrase: access.passphrase }
  await storeOnce(repository.store, nextKeyObject, await wrapKey(key, to ?? {}), options)
  return key
}

interface WayPlan {
  readonly way: string
  /** Undefined when what it takes is not at hand. */
  readonly to: KeyRecipients | undefined
  /** Ascending order of writing. */
  readonly rank: number
}

/** A way is done again as its object for the newest data key says it is: for a passphrase, for recipients, for both. */
async function planWay(
  { store }: RepositoryPlace,
  {
    way,
    newest,
    present,
  }: { readonly way: string; readonly newest: WrappedKey; readonly present: readonly KeyObject[] },
  { access, passphrases, recipients: given }: RotationRequest,
  options: StoreOptions,
): Promise<WayPlan> {
  const model = present.find((object) => object.way === way && object.dataKey === newest.id)
  if (model === undefined || model.state.kind === 'damaged') return { way, to: undefined, rank: 0 }
  const { protection, kind } = model.state
  const recipients = await publicKeysFor(protection.recipients, given)
  if (recipients === undefined || protection.passphrases > 1) return { way, to: undefined, rank: 0 }
  if (protection.passphrases === 0) return { way, to: { recipients }, rank: kind === 'opened' ? 1 : 0 }
  const bytes = await readStored(store, model.object, options)
  const candidates = [access.passphrase, ...passphrases].filter((passphrase) => passphrase !== undefined)
  for (const passphrase of candidates) {
    const { key } = await openKeyMessage(bytes, { passphrase })
    if (key !== undefined)
      return { way, to: { passphrase, recipients }, rank: passphrase === access.passphrase ? 3 : 2 }
  }
  return { way, to: undefined, rank: 0 }
}

/** The public keys among those given that have these ids; undefined when one is missing. */
async function publicKeysFor(ids: readonly string[], given: readonly string[]): Promise<readonly string[] | undefined> {
  const known = await Promise.all(given.map(async (armored) => ({ armored, ids: await recipientKeyIds(armored) })))
  const found = ids.map((id) => known.find((candidate) => candidate.ids.includes(id))?.armored)
  const complete = found.filter((armored) => armored !== undefined)
  return complete.length === ids.length ? [...new Set(complete)] : undefined
}

/** A clock that was set back must not make the new key look older than the one it takes over from. */
function nextKey(repositoryId: string, before: WrappedKey, clock: Pick<Clock, 'wall'>): WrappedKey {
  const last = Date.parse(before.createdAt)
  const at = Number.isNaN(last) ? clock.wall() : Math.max(clock.wall(), last + 1)
  return {
    id: randomBytes(16).toString('hex'),
    key: createSecretKey(randomBytes(32)),
    repositoryId,
    createdAt: new Date(at).toISOString(),
  }
}

function notCovered(repository: RepositoryPlace, ways: readonly string[]): Fault {
  return new Fault(
    repositoryFaults['repository-key-uncovered'],
    `Cannot make a new data key for the repository in ${repository.store.description}: what opens ${ways.join(', ')} is not at hand, so that it would not open what is stored from now on`,
    { details: { ways } },
  )
}
