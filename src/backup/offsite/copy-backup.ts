import { decodeCheckedJson } from '../../repository/checked-json.ts'
import { beginCopy, endCopy } from '../../repository/copy-session.ts'
import type { PackReference } from '../../repository/core/backup-facts.ts'
import { commitFromJson, type Commit } from '../../repository/core/commit.ts'
import { backupOfPack, commitObject, manifestObject, packsPrefix } from '../../repository/core/object-names.ts'
import { walCoverage, type LsnRange } from '../../repository/core/wal-coverage.ts'
import { objectFault } from '../../repository/damage.ts'
import { renewLocks } from '../../repository/renew-locks.ts'
import type { Repository } from '../../repository/repository.ts'
import { walInventory } from '../../repository/wal-objects.ts'
import { Fault } from '../../std/fault.ts'
import { formatLsn } from '../../wal/core/lsn.ts'
import { checkSeal } from './check-object.ts'
import { copyObject, type CopyRoute } from './copy-object.ts'
import { copyWalRange } from './copy-wal.ts'
import { offsiteFaults } from './faults.ts'
import { inParallel } from './in-parallel.ts'

const parallelPacks = 3

/**
 * Copies one backup: packs, manifest, the WAL it needs, and when all of that is in the copy, its commit. A crash leaves a
 * session and objects without a commit; the next attempt goes on from there. A backup that is listed in the copy already
 * gets back what it lost there. Throws what is wrong with an object, `offsite-wal-missing`, `offsite-expiry-running`.
 */
export async function copyBackup(route: CopyRoute, commit: Commit): Promise<void> {
  const { facts } = commit
  const { signal, clock, cluster } = route
  const copy: Repository = { ...route.first, store: route.copy }
  if ((await beginCopy(copy, commit, { clock, signal })) === 'expiring') throw expiring(commit, copy)
  // Only what is seen after the session was written is sure to stay.
  const missing = await missingObjects(route, commit)
  await inParallel(parallelPacks, missing, async (reference) => {
    const { key, taken } = reference
    await copyObject(route, { key, taken, kind: 'bulk', check: (bytes) => checkSeal(key, bytes, reference) })
  })
  await copyWalRange(route, facts)
  if (!(await hasWal(copy, commit, route))) throw walMissing(commit, route)
  const left = await missingObjects(route, commit)
  if (left[0] !== undefined) throw objectFault(left[0].key, 'missing', `${copy.store.description} has lost it again`)
  const copied = new Set(missing.map(({ key: object }) => object))
  const shared = [...facts.packs, commit.manifest].map(({ key: object }) => object)
  const earlier = shared.filter((object) => !copied.has(object))
  await renewLocks(copy.store, cluster, earlier, { signal })
  const key = commitObject(cluster, facts.backup)
  await copyObject(route, { key, kind: 'bulk', check: (bytes) => checkCommit(key, bytes, commit) })
  // Had this process slept so long that an expiry was here meanwhile, the backup must not stay listed.
  if ((await missingObjects(route, commit)).length > 0) {
    await copy.store.delete(key, { signal })
    throw expiring(commit, copy)
  }
  await endCopy(copy, commit, { signal })
}

/** What the copy lacks of a backup, the manifest last; `taken` where it has something of another size instead. */
async function missingObjects(
  { copy, cluster, signal }: CopyRoute,
  { facts, manifest }: Commit,
): Promise<readonly (PackReference & { readonly taken: boolean })[]> {
  const sizes = new Map<string, number>()
  for (const backup of new Set(facts.packs.map(({ key }) => backupOfPack(key)))) {
    for await (const { key, sizeBytes } of copy.list(packsPrefix(cluster, backup), { signal }))
      sizes.set(key, sizeBytes)
  }
  const manifestBytes = await copy.size(manifestObject(cluster, facts.backup), { signal })
  if (manifestBytes !== undefined) sizes.set(manifest.key, manifestBytes)
  return [...facts.packs, manifest]
    .filter(({ key, sizeBytes }) => sizes.get(key) !== sizeBytes)
    .map((reference) => ({ ...reference, taken: sizes.has(reference.key) }))
}

async function hasWal(copy: Repository, { facts }: Commit, { cluster, signal }: CopyRoute): Promise<boolean> {
  const { ranges } = walCoverage(await walInventory(copy, cluster, { signal }), facts)
  const covers = ({ startLsn, endLsn }: LsnRange): boolean => startLsn <= facts.startLsn && endLsn >= facts.stopLsn
  return ranges.some(covers)
}

function checkCommit(key: string, bytes: Uint8Array, { manifest }: Commit): void {
  const found = decodeCheckedJson(key, bytes, commitFromJson)
  if (found.manifest.sha256 !== manifest.sha256) throw objectFault(key, 'altered', 'it is not the one that was listed')
}

function walMissing({ facts }: Commit, { first }: CopyRoute): Fault {
  const range = `${formatLsn(facts.startLsn)} to ${formatLsn(facts.stopLsn)} of timeline ${facts.timeline}`
  return new Fault(
    offsiteFaults['offsite-wal-missing'],
    `Cannot copy backup ${facts.backup}: ${first.store.description} lacks WAL of ${range}, which it needs`,
    { details: { backup: facts.backup } },
  )
}

function expiring({ facts }: Commit, { store }: Repository): Fault {
  return new Fault(
    offsiteFaults['offsite-expiry-running'],
    `Cannot copy backup ${facts.backup} now: an expiry in ${store.description} is just removing what it shares`,
    { details: { backup: facts.backup } },
  )
}
