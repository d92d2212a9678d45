import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { readFile, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { claimCluster } from '../../../src/repository/cluster-identity.ts'
import { listBackups, readManifest } from '../../../src/repository/catalogue.ts'
import type { Commit } from '../../../src/repository/core/commit.ts'
import { tailObject } from '../../../src/repository/core/object-names.ts'
import { repositoryFaults } from '../../../src/repository/faults.ts'
import { openPack } from '../../../src/repository/pack-reader.ts'
import { openRepository, type Repository } from '../../../src/repository/repository.ts'
import { verifyBackup } from '../../../src/repository/verify.ts'
import { readHistory, readTail, readWalSegment, walInventory } from '../../../src/repository/wal-objects.ts'
import { Fault, isFault } from '../../../src/std/fault.ts'
import { Secret } from '../../../src/std/secret.ts'
import {
  archiveSampleWal,
  cluster,
  createSampleRepository,
  passphrase,
  sampleHistory,
  sampleSegment,
  scratchStore,
  segmentName,
  systemIdentifier,
  takeSampleBackup,
  timeline,
  walSegmentBytes,
  type ScratchStore,
} from './sample-repository.ts'
import type { TimelineId } from '../../../src/wal/core/lsn.ts'

interface Sample extends ScratchStore {
  readonly repository: Repository
  readonly commit: Commit
}

async function sample(): Promise<Sample> {
  const scratch = await scratchStore()
  const repository = await createSampleRepository(scratch.store)
  await archiveSampleWal(repository)
  return { ...scratch, repository, commit: await takeSampleBackup(repository) }
}

/** Changes an object behind the store's back, runs the check, and puts the object back. */
async function withDamage(
  { root }: Sample,
  key: string,
  change: (bytes: Buffer) => Uint8Array | undefined,
  check: () => Promise<void>,
): Promise<void> {
  const path = join(root, key)
  const original = await readFile(path)
  const changed = change(Buffer.from(original))
  await (changed === undefined ? rm(path) : writeFile(path, changed))
  try {
    await check()
  } finally {
    await writeFile(path, original)
  }
}

/** Where bits are flipped: most bytes of both ends, where the frame of an object is, and places all over it. */
function flipPlaces(length: number): number[] {
  const places = Array.from({ length }, (_, index) => index)
  return places.filter((at) => ((at < 80 || at >= length - 60) && at % 3 === 0) || at % Math.ceil(length / 20) === 0)
}

const flip = (at: number) => (bytes: Buffer) => {
  bytes[at] = (bytes[at] ?? 0) ^ (1 << (at % 8))
  return bytes
}
const truncations: readonly ((bytes: Buffer) => Uint8Array)[] = [
  (bytes) => bytes.subarray(0, bytes.length - 1),
  (bytes) => bytes.subarray(0, bytes.length >> 1),
  (bytes) => bytes.subarray(0, 10),
  (bytes) => bytes.subarray(0, 0),
  (bytes) => Buffer.concat([bytes, Buffer.from('x')]),
]

function names(key: string): (error: unknown) => boolean {
  return (error) =>
    (isFault(error, repositoryFaults['repository-object-damaged']) ||
      isFault(error, repositoryFaults['repository-format-unsupported'])) &&
    error.details['object'] === key &&
    error.message.includes(key)
}

test('verification of a good backup finds nothing and counts every byte', async () => {
  await using good = await sample()
  const progress: number[] = []
  const result = await verifyBackup(good.repository, good.commit, {
    onProgress: ({ checkedBytes, totalBytes }) => progress.push(checkedBytes / totalBytes),
  })
  assert.deepEqual(result.bad, [])
  assert.equal(result.objectCount, 3)
  assert.equal(progress.at(-1), 1)
})

test('each altered, truncated or missing object of a backup is named by verification, and only that one', async () => {
  await using good = await sample()
  for (const key of [good.commit.manifest.key, ...good.commit.facts.packs.map((pack) => pack.key)]) {
    const assertNamed = async (problem: RegExp): Promise<void> => {
      const { bad } = await verifyBackup(good.repository, good.commit)
      assert.deepEqual(
        bad.map(({ details }) => details['object']),
        [key],
      )
      assert.match(String(bad[0]?.details['problem']), problem)
    }
    const { length } = await readFile(join(good.root, key))
    for (const at of flipPlaces(length)) await withDamage(good, key, flip(at), () => assertNamed(/^altered$/))
    for (const cut of truncations.slice(0, 4)) await withDamage(good, key, cut, () => assertNamed(/^truncated$/))
    for (const grow of truncations.slice(4)) await withDamage(good, key, grow, () => assertNamed(/^altered$/))
    await withDamage(
      good,
      key,
      () => undefined,
      () => assertNamed(/missing/),
    )
  }
})

test('swapped packs are named, although each of them is whole', async () => {
  await using good = await sample()
  const [first, second] = good.commit.facts.packs
  assert.ok(first && second)
  await swap(good.root, first.key, second.key)
  const { bad } = await verifyBackup(good.repository, good.commit)
  assert.deepEqual(
    bad.map(({ details }) => [details['object'], details['problem']]),
    [
      [first.key, 'swapped'],
      [second.key, 'swapped'],
    ],
  )
  // Without knowledge of the commit, the key of the object alone tells.
  for (const { key } of [first, second]) {
    const bytes = await good.store.read(key)
    assert.throws(() => openPack(good.repository.keyring, key, bytes), names(key))
  }
})

test('a backup with a damaged commit is named in the catalogue, not hidden, and the others stay', async () => {
  await using good = await sample()
  const other = await takeSampleBackup(good.repository)
  const key = `main/backups/${good.commit.facts.backup}/commit.json`
  const assertNamed = async (): Promise<void> => {
    const { backups, damaged } = await listBackups(good.repository, cluster)
    assert.deepEqual(
      backups.map(({ facts }) => facts.backup),
      [other.facts.backup],
    )
    assert.equal(damaged[0]?.backup, good.commit.facts.backup)
    assert.ok(names(key)(damaged[0]?.fault))
  }
  const bytes = await readFile(join(good.root, key))
  for (let at = 0; at < bytes.length; at += 11) {
    await withDamage(good, key, flip(at), async () => {
      // A flip that makes white space of white space changes nothing.
      const sameContent = isSameJson(await readFile(join(good.root, key)), bytes)
      if (!sameContent) await assertNamed()
    })
  }
  for (const truncate of truncations.slice(1, 4)) await withDamage(good, key, truncate, assertNamed)
  await withDamage(
    good,
    key,
    () => undefined,
    async () => {
      assert.deepEqual((await listBackups(good.repository, cluster)).damaged, [])
    },
  )
  await swap(good.root, key, `main/backups/${other.facts.backup}/commit.json`)
  const { backups, damaged } = await listBackups(good.repository, cluster)
  assert.deepEqual([backups.length, damaged.length], [0, 2])
})

test('a commit that was forged to other facts does not get past its manifest', async () => {
  await using good = await sample()
  const forged: Commit = { ...good.commit, facts: { ...good.commit.facts, stopLsn: good.commit.facts.startLsn } }
  await assert.rejects(readManifest(good.repository, forged), names(good.commit.manifest.key))
})

test('damaged and swapped WAL objects are named, never given back', async () => {
  await using good = await sample()
  const { repository } = good
  const { tails } = await walInventory(repository, cluster)
  const [tail, otherTail] = tails
  assert.ok(tail && otherTail)
  const second = 2 as TimelineId
  const readers: readonly [string, () => Promise<Uint8Array>][] = [
    [`main/wal/00000001/${segmentName}`, () => readWalSegment(repository, { cluster, name: segmentName })],
    [tailObject(cluster, tail), () => readTail(repository, { cluster, ...tail })],
    ['main/wal/00000002.history', () => readHistory(repository, { cluster, timeline: second })],
  ]
  for (const [key, read] of readers) {
    const { length } = await readFile(join(good.root, key))
    for (const at of flipPlaces(length)) await withDamage(good, key, flip(at), () => assert.rejects(read(), names(key)))
    for (const cut of truncations) await withDamage(good, key, cut, () => assert.rejects(read(), names(key)))
    await withDamage(
      good,
      key,
      () => undefined,
      () => assert.rejects(read(), (error) => isFault(error, repositoryFaults['repository-wal-missing'])),
    )
    await withDamage(
      good,
      key,
      () => readOther(good, tailObject(cluster, otherTail)),
      () => assert.rejects(read(), names(key)),
    )
  }
  assert.equal(Buffer.compare(await readWalSegment(repository, { cluster, name: segmentName }), sampleSegment), 0)
  assert.equal(Buffer.compare(await readHistory(repository, { cluster, timeline: second }), sampleHistory), 0)
  assert.equal(timeline, tail.timeline)
})

test('a damaged repository.json or key object keeps the repository shut and is named', async () => {
  await using good = await sample()
  const access = { passphrase: new Secret(passphrase) }
  const [keyObject] = await Array.fromAsync(good.store.list('keys/'))
  assert.ok(keyObject)
  const description = await readFile(join(good.root, 'repository.json'))
  for (let at = 0; at < description.length; at += 3) {
    await withDamage(good, 'repository.json', flip(at), async () => {
      if (isSameJson(await readFile(join(good.root, 'repository.json')), description)) return
      await assert.rejects(openRepository(good.store, access), names('repository.json'))
    })
  }
  for (const at of flipPlaces(keyObject.sizeBytes).filter((_, index) => index % 4 === 0)) {
    await withDamage(good, keyObject.key, flip(at), async () => {
      const opened = await openRepository(good.store, access).catch((error: unknown) => error)
      // Flips in the armour's frame may change nothing; then the key that opens is the right one.
      if (opened instanceof Fault) assert.match(opened.message, new RegExp(keyObject.key))
      else assert.equal((opened as Repository).keyring.current.id, good.repository.keyring.current.id)
    })
  }
  await withDamage(
    good,
    keyObject.key,
    () => undefined,
    () =>
      assert.rejects(openRepository(good.store, access), (error) =>
        isFault(error, repositoryFaults['repository-object-missing']),
      ),
  )
})

test('a cluster name stays with the PostgreSQL cluster that had it first, and its object notices damage', async () => {
  await using good = await sample()
  const claim = { cluster, systemIdentifier, walSegmentBytes }
  await claimCluster(good.repository, claim)
  for (const other of [{ systemIdentifier: systemIdentifier + 1n }, { walSegmentBytes: 64 }]) {
    await assert.rejects(claimCluster(good.repository, { ...claim, ...other }), (error) =>
      isFault(error, repositoryFaults['repository-cluster-mismatch']),
    )
  }
  const { length } = await readFile(join(good.root, 'main/cluster.json'))
  for (const at of [20, 60, 100, 140, length - 20]) {
    await withDamage(good, 'main/cluster.json', flip(at), () =>
      assert.rejects(claimCluster(good.repository, claim), names('main/cluster.json')),
    )
  }
})

test('objects of another repository are named as such', async () => {
  await using good = await sample()
  await using other = await sample()
  const [mine] = good.commit.facts.packs
  assert.ok(mine)
  const foreign = await readFile(join(other.root, other.commit.facts.packs[0]?.key ?? ''))
  assert.throws(
    () => openPack(good.repository.keyring, mine.key, foreign),
    (error) => isFault(error, repositoryFaults['repository-key-missing']) && error.details['object'] === mine.key,
  )
})

function readOther({ root }: Sample, key: string): Uint8Array {
  return readFileSync(join(root, key))
}

function isSameJson(a: Uint8Array, b: Uint8Array): boolean {
  try {
    return (
      JSON.stringify(JSON.parse(Buffer.from(a).toString())) === JSON.stringify(JSON.parse(Buffer.from(b).toString()))
    )
  } catch {
    return false
  }
}

async function swap(root: string, a: string, b: string): Promise<void> {
  await rename(join(root, a), join(root, 'aside'))
  await rename(join(root, b), join(root, a))
  await rename(join(root, 'aside'), join(root, b))
}
