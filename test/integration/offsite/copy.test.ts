import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { listBackups } from '../../../src/repository/catalogue.ts'
import { openRepository } from '../../../src/repository/repository.ts'
import { Fault } from '../../../src/std/fault.ts'
import { Secret } from '../../../src/std/secret.ts'
import type { ObjectStore } from '../../../src/store/object-store.ts'
import { failNthOperation, forEveryFailure, InjectedFailure } from '../../contract/fail-nth-operation.ts'
import { cluster } from '../repository/expiry-model.ts'
import { createSampleRepository, passphrase } from '../repository/sample-repository.ts'
import { memoryStore } from '../../support/memory-store.ts'
import { turnByTurn } from '../../support/turn-by-turn.ts'
import { dailyBackups, finishLast, nothing, type CopyModel } from './copy-model.ts'

const ids = async ({ copy }: CopyModel): Promise<string[]> =>
  (await listBackups(copy, cluster)).backups.map(({ facts }) => facts.backup)
const under = (objects: ReadonlyMap<string, Uint8Array>, part: string): string[] =>
  [...objects.keys()].filter((key) => key.startsWith(`${cluster}/${part}/`))

test('a copy has every object of the first repository, opens with its key, and restores what that restores', async () => {
  const made = await dailyBackups(3)
  await made.model.begin(1, 0)
  const outcome = await made.copyOnce()
  assert.deepEqual([...outcome.problems], [])
  assert.deepEqual(outcome.backups, { listed: 3, copied: 3 })
  made.assertComplete()
  assert.deepEqual(under(made.copied, 'sessions'), [])
  const opened = await openRepository(made.copyStore, { passphrase: new Secret(passphrase) })
  assert.equal(opened.id, made.first.id)
  assert.deepEqual(await made.model.reachable(9, opened), await made.model.reachable(9))
  await made.assertSound()
  const again = await made.copyOnce()
  assert.equal(again.copiedObjects, 0)
})

test('only what is new is copied, and tails go when their segment is there', async () => {
  const made = await dailyBackups(1)
  await made.copyOnce()
  const tails = under(made.copied, 'tail')
  await made.model.archive(1)
  await made.copyOnce()
  made.assertComplete()
  assert.ok(tails.every((tail) => !made.copied.has(tail)))
})

test('L5, L6: copying that fails at any operation of either place leaves nothing broken, and goes on from there', async () => {
  const made = await dailyBackups(2)
  await made.model.archive(1)
  for (const side of ['first', 'copy'] as const) {
    const attempts = await forEveryFailure(async (n, moment) => {
      made.copied.clear()
      const failing = failNthOperation(side === 'first' ? made.first.store : made.copyStore, n, moment)
      await made.copyOnce({ [side]: failing }).catch((error: unknown) => {
        if (!(error instanceof InjectedFailure)) throw error
      })
      await made.assertSound()
      const outcome = await made.copyOnce()
      assert.deepEqual([...outcome.problems], [])
      made.assertComplete()
      return failing
    })
    assert.ok(attempts >= 40, `${attempts} on the side of ${side}`)
  }
})

test('one operation that fails now and then is only done again', async () => {
  const made = await dailyBackups(1)
  for (let n = 1; ; n += 1) {
    made.copied.clear()
    const failing = failNthOperation(made.copyStore, n, 'after', true)
    const outcome = await made.copyOnce({ copy: failing }).catch((error: unknown) => {
      if (!(error instanceof InjectedFailure)) throw error
    })
    if (outcome !== undefined) assert.deepEqual([...outcome.problems], [])
    await made.assertSound()
    if (failing.operations < n) break
  }
})

test('a damaged object is not copied as good, and everything else is', async () => {
  const made = await dailyBackups(3)
  const listed = (await listBackups(made.first, cluster)).backups
  const [pack = ''] = under(made.objects, `packs/${listed[0]?.facts.backup}`)
  const [segment = ''] = under(made.objects, 'wal')
  for (const key of [pack, segment]) {
    const bytes = Buffer.from(made.objects.get(key) ?? assert.fail())
    bytes[100] = (bytes[100] ?? 0) ^ 1
    made.objects.set(key, bytes)
  }
  const outcome = await made.copyOnce()
  assert.ok(!made.copied.has(pack) && !made.copied.has(segment))
  assert.deepEqual(
    new Set([...outcome.problems.values()].map(({ code }) => code)),
    new Set(['repository-object-damaged']),
  )
  assert.ok(outcome.problems.has(segment))
  // The third backup shares packs with the second only; those that share the damaged one are not listed.
  const good = listed.filter(({ facts }) => facts.packs.every(({ key }) => key !== pack))
  assert.deepEqual(
    await ids(made),
    good.map(({ facts }) => facts.backup),
  )
  await made.model.assertSound(made.copy)
})

test('an object that is another in the copy is an alarm, and is left as it is', async () => {
  const made = await dailyBackups(2)
  await made.copyOnce()
  const [pack = ''] = under(made.copied, 'packs')
  const [segment = ''] = under(made.copied, 'wal')
  const other = Buffer.from('something else')
  made.copied.set(pack, other)
  made.copied.set(segment, other)
  const outcome = await made.copyOnce()
  assert.deepEqual(
    [...outcome.problems.values()].map(({ code }) => code),
    Array(3).fill('offsite-object-conflict'),
  )
  assert.deepEqual(made.copied.get(pack), other)
  assert.deepEqual(made.copied.get(segment), other)
})

test('what was deleted in the copy comes back', async () => {
  const made = await dailyBackups(2)
  await made.copyOnce()
  for (const part of ['packs', 'wal', 'backups']) made.copied.delete(under(made.copied, part)[0] ?? '')
  await made.copyOnce()
  made.assertComplete()
})

test('L6: a backup whose WAL the first repository lacks is not listed in the copy', async () => {
  const made = await dailyBackups(2)
  const [, last] = (await listBackups(made.first, cluster)).backups
  for (const key of under(made.objects, 'wal').slice(2)) made.objects.delete(key)
  for (const key of under(made.objects, 'tail')) made.objects.delete(key)
  const outcome = await made.copyOnce()
  assert.equal(outcome.problems.get(`backup ${last?.facts.backup}`)?.code, 'offsite-wal-missing')
  await made.model.assertSound(made.copy)
})

test('another repository is refused with both names, as is a place with something else, and the same place', async () => {
  const made = await dailyBackups(1)
  const other = memoryStore()
  const { id } = await createSampleRepository(other)
  await assert.rejects(made.copyOnce({ copy: other }), (error: Error & { code?: string }) => {
    assert.match(error.message, new RegExp(`${made.first.id}.*${id}`))
    return error.code === 'offsite-other-repository'
  })
  const occupied = memoryStore(new Map([['somebody/else', Buffer.from('x')]]))
  await assert.rejects(made.copyOnce({ copy: occupied }), { code: 'repository-place-occupied' })
  await assert.rejects(made.copyOnce({ copy: made.first.store }), { code: 'offsite-same-place' })
  made.objects.set('repository.json', await other.read('repository.json'))
  await assert.rejects(made.copyOnce(), { code: 'offsite-other-repository' })
})

test('L6: expiry keeps in the copy what the first has, and by the rules of the copy what it has no more', async () => {
  const made = await dailyBackups(4)
  await made.copyOnce()
  const all = await ids(made)
  await made.expireCopy(nothing)
  assert.deepEqual(await ids(made), all, 'the first has them')
  made.assertComplete()
  await made.model.expire({ ...nothing, count: 1 })
  await made.expireCopy({ ...nothing, count: 3 })
  assert.deepEqual(await ids(made), all.slice(1))
  await made.expireCopy({ ...nothing, count: 1 })
  assert.deepEqual(await ids(made), all.slice(3))
  made.assertComplete()
  await made.assertSound()
  assert.deepEqual([...under(made.copied, 'gc'), ...under(made.copied, 'sessions')], [])
})

test('a first repository that was emptied empties no copy', async () => {
  const made = await dailyBackups(4)
  await made.copyOnce()
  const before = made.copied.size
  for (const key of made.objects.keys()) if (key.startsWith(`${cluster}/`)) made.objects.delete(key)
  await made.copyOnce()
  await assert.rejects(made.expireCopy(nothing), { code: 'repository-first-empty' })
  assert.equal(made.copied.size, before)
  await made.model.assertSound(made.copy)
})

test('L6: what a backup needs that is being copied stays in the copy, though the first has it no more', async () => {
  const made = await dailyBackups(4)
  await made.copyOnce()
  const all = await ids(made)
  // The last one shares packs with the two before it; its commit is lost in the copy, and comes back.
  made.copied.delete(`${cluster}/backups/${all[3]}/commit.json`)
  let met = 0
  const copy: ObjectStore = {
    ...made.copyStore,
    create: async (key, body) => {
      if (key.endsWith(`${all[3]}/commit.json`)) {
        met += 1
        // Meanwhile a full backup is taken, all others expire, and the copy gets it.
        await made.model.begin(undefined, 0)
        await made.model.archive(1)
        await finishLast(made.model)
        await made.model.expire(nothing)
        await made.copyOnce()
        await made.expireCopy(nothing)
      }
      return await made.copyStore.create(key, body)
    },
  }
  await made.copyOnce({ copy })
  assert.equal(met, 1)
  assert.ok(under(made.copied, `packs/${all[2]}`).length > 0 && !(await ids(made)).includes(all[2] ?? ''))
  assert.ok((await ids(made)).includes(all[3] ?? ''), 'it was committed')
  await made.model.assertSound(made.copy)
})

test('L6: a copier, expiries in both places and a new backup, however their operations interleave, break nothing', async () => {
  const policy = fc.record({
    days: fc.nat(3),
    count: fc.nat(2),
    daily: fc.nat(1),
    weekly: fc.nat(1),
    monthly: fc.constant(0),
    yearly: fc.constant(0),
  })
  await fc.assert(
    fc.asyncProperty(fc.scheduler(), policy, policy, fc.nat(4), async (scheduler, first, copied, stale) => {
      const made = await dailyBackups(2)
      await made.copyOnce()
      // What the copy has not got yet shares packs with what expires meanwhile.
      for (const parent of [1, 2, stale]) {
        await made.model.begin(parent, 0)
        await made.model.archive(1)
        await finishLast(made.model)
        made.model.pass(1)
      }
      const turns = { first: turnByTurn(made.first.store, scheduler), copy: turnByTurn(made.copyStore, scheduler) }
      const busy = (error: unknown): void => {
        if (!(error instanceof Fault)) throw error
      }
      const work = Promise.all([
        made.copyOnce(turns).catch(busy),
        made.copyOnce(turns).catch(busy),
        made.model.expire(first, { ...made.first, store: turns.first }).catch(busy),
        made.expireCopy(copied, turns.copy, turns.first).catch(busy),
      ])
      await scheduler.waitFor(work)
      await made.assertSound()
      const outcome = await made.copyOnce()
      // An expiry that a fault ended has left its announcement; the next one takes it away.
      if (outcome.problems.size > 0) {
        assert.ok([...outcome.problems.values()].every(({ code }) => code === 'offsite-expiry-running'))
        await made.expireCopy(copied)
        await made.expireCopy(copied)
        assert.deepEqual([...(await made.copyOnce()).problems.keys()], [])
      }
      await made.assertSound()
      made.assertComplete()
    }),
    { numRuns: 25 },
  )
})
