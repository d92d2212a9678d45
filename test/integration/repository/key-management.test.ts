import assert from 'node:assert/strict'
import { test } from 'node:test'
import { generateKey } from 'openpgp'
import { listBackups } from '../../../src/repository/catalogue.ts'
import { isWayName, keyObjectOf, parseKeyObject } from '../../../src/repository/core/key-names.ts'
import { nextKeyObject } from '../../../src/repository/core/object-names.ts'
import { repositoryFaults } from '../../../src/repository/faults.ts'
import { giveAccess } from '../../../src/repository/give-access.ts'
import type { KeyAccess } from '../../../src/repository/openpgp-keys.ts'
import { createRepository, openRepository } from '../../../src/repository/repository.ts'
import type { Repository } from '../../../src/repository/repository.ts'
import { rotateDataKey } from '../../../src/repository/rotate-data-key.ts'
import { takeAccess } from '../../../src/repository/take-access.ts'
import { testAccess } from '../../../src/repository/test-access.ts'
import { verifyBackup } from '../../../src/repository/verify.ts'
import { readWalSegment } from '../../../src/repository/wal-objects.ts'
import { systemClock, type EpochMs } from '../../../src/std/clock.ts'
import { isFault, type FaultKind } from '../../../src/std/fault.ts'
import { Secret } from '../../../src/std/secret.ts'
import type { ObjectStore } from '../../../src/store/object-store.ts'
import { failNthOperation, forEveryFailure, InjectedFailure } from '../../contract/fail-nth-operation.ts'
import { memoryStore } from '../../support/memory-store.ts'
import { archiveSampleWal, cluster, sampleSegment, segmentName, takeSampleBackup } from './sample-repository.ts'

const oldAccess = { passphrase: new Secret('the old passphrase') }
const newAccess = { passphrase: new Secret('the new passphrase') }
const is = (kind: FaultKind) => (error: unknown) => isFault(error, kind)

interface Filled {
  readonly objects: Map<string, Uint8Array>
  readonly store: ObjectStore
  readonly repository: Repository
}

async function filled(): Promise<Filled> {
  const objects = new Map<string, Uint8Array>()
  const store = memoryStore(objects)
  const repository = await createRepository(store, { ...oldAccess, clock: systemClock })
  await archiveSampleWal(repository)
  await takeSampleBackup(repository)
  return { objects, store, repository }
}

/** Everything that is stored opens: every backup, and the WAL. */
async function assertOpens(store: ObjectStore, access: KeyAccess, backups: number): Promise<void> {
  const repository = await openRepository(store, access)
  const listed = await listBackups(repository, cluster)
  assert.equal(listed.backups.length, backups)
  for (const commit of listed.backups) assert.deepEqual((await verifyBackup(repository, commit)).bad, [])
  assert.deepEqual(
    Buffer.from(await readWalSegment(repository, { cluster, name: segmentName })),
    Buffer.from(sampleSegment),
  )
}

test('names of key objects say way and data key, and a way cannot be called like one', () => {
  const id = 'ab'.repeat(16)
  for (const way of ['first', 'escrow', 'passphrase-1a2b3c4d']) {
    assert.deepEqual(parseKeyObject(keyObjectOf(id, way)), { way, dataKey: id })
  }
  assert.deepEqual(parseKeyObject('keys/by-hand.asc'), { way: 'by-hand', dataKey: undefined })
  assert.deepEqual(['first', id, `${id}-x`, '', '.x', 'a/b', 'x'.repeat(41), 'escrow'].map(isWayName), [
    false,
    false,
    false,
    false,
    false,
    false,
    false,
    true,
  ])
})

test('R3.3: a passphrase is replaced and the data key rotated without rewriting anything', async () => {
  const { store, objects, repository } = await filled()
  const before = new Map(objects)
  await giveAccess(repository, { way: 'second', access: oldAccess, to: newAccess })
  await assertOpens(store, newAccess, 1)
  const { dataKey } = await rotateDataKey(
    repository,
    { access: oldAccess, passphrases: [newAccess.passphrase], recipients: [] },
    // A clock that was set back must not make the old key the current one.
    { clock: { wall: () => 0 as EpochMs } },
  )
  const opened = await openRepository(store, newAccess)
  assert.equal(opened.keyring.current.id, dataKey)
  assert.equal(opened.keyring.keys.length, 2)
  await takeSampleBackup(opened)
  await assertOpens(store, oldAccess, 2)
  assert.equal((await takeAccess(repository, { way: 'first', access: newAccess })).length, 2)
  await assertOpens(store, newAccess, 2)
  await assert.rejects(openRepository(store, oldAccess), is(repositoryFaults['repository-wrong-key']))
  for (const [key, bytes] of before) {
    if (!key.startsWith('keys/')) assert.deepEqual(objects.get(key), bytes, `${key} was rewritten`)
  }
  assert.equal(objects.has(nextKeyObject), false)
})

test('the last way in that opens is never removed, and no name is taken twice', async () => {
  const { store, repository } = await filled()
  await assert.rejects(
    takeAccess(repository, { way: 'first', access: oldAccess }),
    is(repositoryFaults['repository-key-last']),
  )
  await giveAccess(repository, { way: 'second', access: oldAccess, to: newAccess })
  // Somebody else's way does not count: it was not seen to open anything.
  await assert.rejects(
    takeAccess(repository, { way: 'first', access: oldAccess }),
    is(repositoryFaults['repository-key-last']),
  )
  await assert.rejects(
    giveAccess(repository, { way: 'second', access: oldAccess, to: oldAccess }),
    is(repositoryFaults['repository-key-name-taken']),
  )
  await assert.rejects(
    giveAccess(repository, { way: 'first', access: oldAccess, to: newAccess }),
    is(repositoryFaults['repository-key-name-invalid']),
  )
  // What an interrupted run did is taken as it is.
  assert.equal((await giveAccess(repository, { way: 'second', access: oldAccess, to: newAccess })).already.length, 1)
  assert.deepEqual(await takeAccess(repository, { way: 'nobody', access: oldAccess }), [])
  assert.equal((await Array.fromAsync(store.list('keys/'))).length, 2)
})

test('a data key that somebody could not open is not made', async () => {
  const { store, repository } = await filled()
  await giveAccess(repository, { way: 'second', access: oldAccess, to: newAccess })
  await assert.rejects(
    rotateDataKey(repository, { access: oldAccess, passphrases: [], recipients: [] }, { clock: systemClock }),
    (error) =>
      isFault(error, repositoryFaults['repository-key-uncovered']) && /what opens second is/.test(error.message),
  )
  assert.equal((await Array.fromAsync(store.list('keys/'))).length, 2)
  assert.equal(await store.size(nextKeyObject), undefined)
})

test('a key test finds a wrong passphrase, a data key it does not open, and damage, each by its name', async () => {
  const { store, objects, repository } = await filled()
  const tested = await testAccess(store, { cluster, access: oldAccess })
  assert.match(tested.decrypted ?? '', /manifest$/)
  await assert.rejects(testAccess(store, { cluster, access: newAccess }), is(repositoryFaults['repository-wrong-key']))
  await rotateDataKey(repository, { access: oldAccess, passphrases: [], recipients: [] }, { clock: systemClock })
  const { keyring } = await openRepository(store, oldAccess)
  const lost = keyObjectOf(keyring.current.id, 'first')
  const bytes = objects.get(lost) ?? assert.fail()
  objects.set(lost, Buffer.from(Buffer.from(bytes).toString().replace('BEGIN PGP MESSAGE', 'BEGIN PGP MESSAGO')))
  await assert.rejects(
    testAccess(store, { cluster, access: oldAccess }),
    (error) => isFault(error, repositoryFaults['repository-object-damaged']) && error.message.includes(lost),
  )
  // Whole, but for somebody else: this passphrase opens only the other data key.
  const [stranger] = await Array.fromAsync((await filled()).store.list('keys/'))
  assert.ok(stranger)
  const foreign = await createRepository(memoryStore(), { ...newAccess, clock: systemClock })
  const [other] = await Array.fromAsync(foreign.store.list('keys/'))
  objects.set(lost, await foreign.store.read(other?.key ?? ''))
  await assert.rejects(
    testAccess(store, { cluster, access: oldAccess }),
    (error) => isFault(error, repositoryFaults['repository-key-missing']) && error.message.includes(keyring.current.id),
  )
})

/** Lets the injected failure pass; anything else is a defect. */
async function untilFailure(work: Promise<unknown>): Promise<void> {
  await work.catch((error: unknown) => {
    if (!(error instanceof InjectedFailure)) throw error
  })
}

test('a rotation writes what nodes use last, and goes on with the same key after a crash', async () => {
  const { objects, store, repository } = await filled()
  const { privateKey, publicKey } = await makeKey('escrow')
  await giveAccess(repository, { way: 'a-node', access: oldAccess, to: newAccess })
  await giveAccess(repository, { way: 'z-escrow', access: oldAccess, to: { recipients: [publicKey] } })
  const request = { access: oldAccess, passphrases: [newAccess.passphrase], recipients: [publicKey] }
  const written: string[] = []
  const recording: ObjectStore = {
    ...store,
    create: async (key, body) => {
      if (key.startsWith('keys/') && written.length === 2) throw new InjectedFailure('crash')
      if (key.startsWith('keys/')) written.push(parseKeyObject(key).way)
      return await store.create(key, body)
    },
  }
  await untilFailure(rotateDataKey({ id: repository.id, store: recording }, request, { clock: systemClock }))
  assert.deepEqual(written, ['z-escrow', 'a-node'])
  assert.equal((await openRepository(store, oldAccess)).keyring.current.id, repository.keyring.current.id)
  await assert.rejects(
    giveAccess(repository, { way: 'other', access: oldAccess, to: newAccess }),
    (error) => isFault(error, repositoryFaults['repository-key-missing']) && /keys rotate/.test(error.hint),
  )
  const { dataKey, resumed } = await rotateDataKey(repository, request, { clock: systemClock })
  assert.ok(resumed)
  assert.equal(objects.has(nextKeyObject), false)
  for (const access of [oldAccess, { privateKey: { armored: new Secret(privateKey) } }]) {
    assert.equal((await openRepository(store, access)).keyring.current.id, dataKey)
  }
})

test('L5: adding, rotating and removing keys, failing anywhere, leaves a repository that the old key opens', async () => {
  // With key pairs, since each try of a passphrase takes a good part of a second.
  const [before, after] = await Promise.all([makeKey('before'), makeKey('after')])
  const oldKey = { privateKey: { armored: new Secret(before.privateKey) } }
  const newKey = { privateKey: { armored: new Secret(after.privateKey) } }
  const objects = new Map<string, Uint8Array>()
  const first = await createRepository(memoryStore(objects), { recipients: [before.publicKey], clock: systemClock })
  await archiveSampleWal(first)
  await takeSampleBackup(first)
  const recipients = [before.publicKey, after.publicKey]
  const attempts = await forEveryFailure(async (n, moment) => {
    const copy = new Map(objects)
    const store = memoryStore(copy)
    const { id } = await openRepository(store, oldKey)
    const failing = failNthOperation(store, n, moment)
    const give = (place: ObjectStore): Promise<unknown> =>
      giveAccess({ id, store: place }, { way: 'second', access: oldKey, to: { recipients: [after.publicKey] } })
    const rotate = (place: ObjectStore): Promise<unknown> =>
      rotateDataKey({ id, store: place }, { access: oldKey, passphrases: [], recipients }, { clock: systemClock })
    const take = (place: ObjectStore): Promise<unknown> =>
      takeAccess({ id, store: place }, { way: 'first', access: newKey })
    await untilFailure(give(failing).then(() => rotate(failing)))
    await assertOpens(store, oldKey, 1)
    if (!copy.has(nextKeyObject)) await give(store)
    await rotate(store)
    await assertOpens(store, newKey, 1)
    const again = failNthOperation(store, n, moment)
    await untilFailure(take(again))
    await assertOpens(store, newKey, 1)
    await take(store)
    await assertOpens(store, newKey, 1)
    await assert.rejects(openRepository(store, oldKey), is(repositoryFaults['repository-wrong-key']))
    return failing
  })
  assert.ok(attempts >= 20, String(attempts))
})

async function makeKey(name: string): Promise<{ readonly privateKey: string; readonly publicKey: string }> {
  const { privateKey, publicKey } = await generateKey({ type: 'curve25519', userIDs: [{ name }], format: 'armored' })
  return { privateKey, publicKey }
}
