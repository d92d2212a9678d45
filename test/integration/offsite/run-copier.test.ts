import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { CopierStatus } from '../../../src/backup/offsite/copy-progress.ts'
import { runCopier } from '../../../src/backup/offsite/run-copier.ts'
import { listBackups } from '../../../src/repository/catalogue.ts'
import { systemClock, type Clock } from '../../../src/std/clock.ts'
import { waitUntil } from '../../../src/std/wait-until.ts'
import { Fault } from '../../../src/std/fault.ts'
import { storeFaults } from '../../../src/store/faults.ts'
import type { ObjectStore } from '../../../src/store/object-store.ts'
import { cluster } from '../repository/expiry-model.ts'
import { dailyBackups, finishLast, type CopyModel } from './copy-model.ts'

/** Waits a hundredth of the time. */
const fastClock: Clock = {
  ...systemClock,
  monotonic: () => (systemClock.monotonic() * 100) as ReturnType<Clock['monotonic']>,
  sleep: (ms, options) => systemClock.sleep(ms / 100, options),
}

interface Running extends AsyncDisposable {
  status(): CopierStatus
  until(wanted: (status: CopierStatus) => boolean): Promise<unknown>
}

function copying(made: CopyModel, store: ObjectStore = made.copyStore): Running {
  const stop = new AbortController()
  let last: CopierStatus | undefined
  const status = (): CopierStatus => last ?? assert.fail('it said nothing')
  const ended = runCopier({
    open: async () => ({ first: made.first, copy: store, [Symbol.asyncDispose]: async () => {} }),
    cluster,
    clock: fastClock,
    onStatus: (said) => (last = said),
    signal: stop.signal,
  })
  return {
    status,
    until: (wanted) =>
      waitUntil('what is wanted of the copier', async () => wanted(status()) || undefined, {
        clock: systemClock,
        timeoutMs: 20_000,
        everyMs: 5,
      }).catch((error: unknown) => {
        throw new Error(JSON.stringify({ ...status(), problems: [...status().problems.keys()] }), { cause: error })
      }),
    [Symbol.asyncDispose]: async () => {
      stop.abort()
      await ended
    },
  }
}

/** A store that fails as long as it is told to. */
function switched(inner: ObjectStore, isDown: () => boolean): ObjectStore {
  const check = (): void => {
    if (isDown()) throw new Fault(storeFaults['store-failed'], 'Cannot reach the store: it is down')
  }
  return {
    ...inner,
    create: async (...args) => (check(), await inner.create(...args)),
    read: async (...args) => (check(), await inner.read(...args)),
    size: async (...args) => (check(), await inner.size(...args)),
    async *list(...args) {
      check()
      yield* inner.list(...args)
    },
  }
}

test('it follows WAL, a new backup and a new timeline without being told', async () => {
  const made = await dailyBackups(1)
  await using copier = copying(made)
  await copier.until(({ state }) => state === 'current')
  made.assertComplete()
  for (const change of [
    () => made.model.archive(3),
    () => made.model.begin(0, 0).then(() => finishLast(made.model)),
    () => made.model.promote(0),
    () => made.model.archive(1),
  ]) {
    await change()
    await copier.until(() =>
      [...made.objects.keys()].every((key) => made.copied.has(key) || /\/(tail|sessions)\//.test(key)),
    )
    await copier.until(({ state }) => state === 'current')
    made.assertComplete()
    await made.assertSound()
  }
  assert.equal(copier.status().backupsMissing, 0)
  assert.deepEqual(copier.status().missingBytes, { wal: 0, backups: 0, other: 0 })
})

test('a place that is down is tried again until it is back, and how long it is behind is known', async () => {
  const made = await dailyBackups(1)
  let down = false
  await using copier = copying(
    made,
    switched(made.copyStore, () => down),
  )
  await copier.until(({ state }) => state === 'current')
  down = true
  await made.model.archive(2)
  await copier.until(({ state, error }) => state === 'retrying' && error instanceof Fault)
  const { currentAt, walCurrentAt } = copier.status()
  await made.model.begin(0, 0)
  await finishLast(made.model)
  assert.deepEqual([copier.status().currentAt, copier.status().walCurrentAt], [currentAt, walCurrentAt])
  down = false
  await copier.until(({ state }) => state === 'current')
  made.assertComplete()
})

test('L6: tails stay in the copy as long as their segment could not be copied', async () => {
  const made = await dailyBackups(1)
  await made.model.begin(undefined, 0)
  await finishLast(made.model)
  await using copier = copying(made)
  await copier.until(({ state }) => state === 'current')
  const tails = [...made.copied.keys()].filter((key) => key.includes('/tail/'))
  const before = new Set(made.objects.keys())
  await made.model.archive(1)
  const segment = [...made.objects.keys()].find((key) => key.includes('/wal/') && !before.has(key)) ?? assert.fail()
  const good = made.objects.get(segment) ?? assert.fail()
  // It may have been copied in between; then there is nothing to see, and the test begins again with the next.
  if (made.copied.has(segment)) return
  made.objects.set(segment, Buffer.from('damaged'))
  await copier.until(({ problems }) => problems.has(segment))
  for (const tail of tails) assert.ok(made.copied.has(tail), tail)
  await made.model.assertSound(made.copy)
  assert.equal(copier.status().state, 'incomplete')
  made.objects.set(segment, good)
  await copier.until(({ state }) => state === 'current')
  made.assertComplete()
  assert.equal((await listBackups(made.copy, cluster)).backups.length, 2)
})
