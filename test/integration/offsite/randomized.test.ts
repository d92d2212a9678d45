import assert from 'node:assert/strict'
import { createHash, randomInt } from 'node:crypto'
import { test } from 'node:test'
import { listBackups } from '../../../src/repository/catalogue.ts'
import { holdBackup, releaseBackup } from '../../../src/repository/holds.ts'
import { openPack } from '../../../src/repository/pack-reader.ts'
import { readRepositoryId, type Repository } from '../../../src/repository/repository.ts'
import { readStored } from '../../../src/repository/stored-objects.ts'
import { fetchPiece } from '../../../src/restore/feed/fetch-piece.ts'
import { planFromRepository } from '../../../src/restore/plan-from-repository.ts'
import { Fault } from '../../../src/std/fault.ts'
import { InjectedFailure } from '../../contract/fail-nth-operation.ts'
import { cluster } from '../repository/expiry-model.ts'
import { CopyModel, hastyClock, nothing } from './copy-model.ts'
import { chance } from '../../support/chance.ts'
import { FailingStores, type PlannedFailure } from './failing-stores.ts'

/**
 * Backups, WAL, expiry, copies and restores of a made-up cluster with real repositories, in a random order, and in
 * each step store operations that fail. `HOLDFAST_SEED=N` does again what the run of that seed did.
 */
const given = process.env['HOLDFAST_SEED']
const seed = given === undefined ? randomInt(2 ** 31) : Number(given)
const stepsPerRun = 14
const runs = 2

const kinds = ['backup', 'finish', 'wal', 'promote', 'expire', 'expire-copy', 'copy', 'hold', 'restore'] as const
type Kind = (typeof kinds)[number]

interface Step {
  readonly kind: Kind
  readonly x: number
  readonly y: number
}

class World {
  readonly stores: FailingStores = new FailingStores()
  readonly made: CopyModel = new CopyModel(this.stores.wrap)
  /** What was seen under each name, in both places: nothing may ever replace it there. */
  readonly #seen = [new Map<string, Uint8Array>(), new Map<string, Uint8Array>()] as const
  /** Objects of backups that were verified, so that only what has changed is read again. */
  readonly #verified = new Map<string, readonly (Uint8Array | undefined)[]>()

  snapshot(): () => void {
    const model = this.made.model.snapshot()
    const maps = [this.made.objects, this.made.copied, ...this.#seen]
    const before = maps.map((map) => new Map(map))
    return () => {
      model()
      for (const [index, map] of maps.entries()) {
        map.clear()
        for (const [key, bytes] of before[index] ?? []) map.set(key, bytes)
      }
    }
  }

  /** L5: written once. L6: what is listed can be restored by itself. */
  async assertLaws(): Promise<void> {
    for (const [index, objects] of [this.made.objects, this.made.copied].entries()) {
      const seen = this.#seen[index] ?? assert.fail()
      for (const [key, bytes] of objects) {
        const before = seen.get(key)
        assert.ok(
          before === undefined || before === bytes || Buffer.compare(before, bytes) === 0,
          `L5: ${key} was replaced`,
        )
        seen.set(key, bytes)
      }
      for (const key of seen.keys()) if (!objects.has(key)) seen.delete(key)
    }
    await this.#assertSound(this.made.first, this.made.objects, 'first')
    if (this.made.copied.has('repository.json')) await this.#assertSound(this.made.copy, this.made.copied, 'copy')
  }

  async #assertSound(repository: Repository, objects: ReadonlyMap<string, Uint8Array>, place: string): Promise<void> {
    const { backups, damaged } = await listBackups(repository, cluster)
    assert.deepEqual(damaged, [], place)
    const fresh = new Set<string>()
    for (const commit of backups) {
      const name = `${place} ${commit.facts.backup}`
      const found = [commit.manifest, ...commit.facts.packs].map(({ key }) => objects.get(key))
      const before = this.#verified.get(name)
      if (before?.length !== found.length || found.some((bytes, index) => bytes !== before[index]))
        fresh.add(commit.facts.backup)
      this.#verified.set(name, found)
    }
    await this.made.model.assertSound(repository, fresh)
  }
}

/** Everything a restore to the end of the archive would lay out and replay; undefined where it is refused. */
async function restored(repository: Repository): Promise<string | undefined> {
  const planned = await planFromRepository(repository, cluster, {
    target: { kind: 'latest' },
    timeline: 'latest',
  }).catch((error: unknown) => {
    if (error instanceof Fault && error.code.startsWith('restore-')) return undefined
    throw error
  })
  if (planned === undefined) return undefined
  const hash = createHash('sha256')
  for (const reference of planned.commit.facts.packs) {
    const bytes = await readStored(repository.store, reference.key)
    const pack = openPack(repository.keyring, reference.key, bytes, reference)
    for (const [number] of pack.records.entries()) hash.update(pack.read(number))
  }
  for (const piece of planned.plan.wal) hash.update(await fetchPiece(repository, planned, piece, { clock: hastyClock }))
  return `${planned.plan.backup.id} to ${planned.plan.walEndLsn}: ${hash.digest('hex')}`
}

async function act({ made }: World, { kind, x, y }: Step): Promise<void> {
  const { model } = made
  const overtaken = ['repository-backup-expiring', 'repository-session-collected', 'repository-backup-not-found']
  const unlessOvertaken = async (work: Promise<unknown>): Promise<void> => {
    await work.catch((error: unknown) => {
      if (!(error instanceof Fault) || !overtaken.includes(error.code)) throw error
    })
  }
  switch (kind) {
    case 'backup':
      await unlessOvertaken(model.begin(x % 3 === 0 ? undefined : x, y % 3, { node: `n${y % 2}` }))
      if (x % 2 === 0) return
      await model.archive(1)
      return await unlessOvertaken(finish(made, x))
    case 'finish':
      return await unlessOvertaken(finish(made, x))
    case 'wal':
      model.pass(y % 3)
      return await model.archive(x % 3)
    case 'promote':
      return await model.promote(x % 2)
    case 'expire':
      return void (await model.expire({ ...nothing, days: x % 4, count: y % 2 }))
    case 'expire-copy': {
      if ((await readRepositoryId(made.copyStore)) === undefined) return
      await made.expireCopy({ ...nothing, days: x % 4, count: y % 2 }).catch((error: unknown) => {
        if (!(error instanceof Fault) || error.code !== 'repository-first-empty') throw error
      })
      return
    }
    case 'copy': {
      const { problems } = await made.copyOnce()
      // What is retried later, and what expired while it was copied, is no damage.
      const serious = [...problems.values()].filter(({ code }) => code !== 'offsite-expiry-running')
      assert.deepEqual(
        serious.map(({ code, message }) => `${code}: ${message}`),
        [],
      )
      return
    }
    case 'hold': {
      const { backups } = await listBackups(made.first, cluster)
      const backup = backups[x % (backups.length || 1)]?.facts.backup
      if (backup === undefined) return
      const place = { cluster, backup }
      const hold = y % 2 === 0 ? holdBackup(made.first, { ...place, reason: '' }, { clock: model.clock }) : undefined
      return await unlessOvertaken(hold ?? releaseBackup(made.first, place))
    }
    case 'restore':
      return void (await restored(x % 2 === 0 || made.copied.size === 0 ? made.first : made.copy))
    default:
      kind satisfies never
  }
}

async function finish({ model }: CopyModel, x: number): Promise<void> {
  const open = model.open[x % (model.open.length || 1)]
  if (open !== undefined) await model.finish(open)
}

/** One step with one operation that fails; then the laws; then the same step as it is done after a restart, and the laws. */
async function attempt(world: World, step: Step, failure: PlannedFailure): Promise<number> {
  const { made, stores } = world
  const { model } = made
  const days = step.kind === 'expire' ? step.x % 4 : 0
  const forget = model.snapshot()
  const openBefore = [...model.open]
  const reachable = await model.reachable(days)
  const copyReaches = await lastReached(world, made.copy)
  stores.plan(failure)
  let failed = false
  await act(world, step).catch((error: unknown) => {
    if (!(error instanceof InjectedFailure)) throw error
    failed = true
  })
  const { operations } = stores
  stores.plan(undefined)
  await world.assertLaws()
  if (step.kind === 'expire')
    assert.deepEqual(await model.reachable(days), reachable, 'L6: expiry took moments of the window')
  if (step.kind === 'expire' || step.kind === 'expire-copy')
    assert.equal(await lastReached(world, made.copy), copyReaches, 'L8')
  if (!failed) return operations
  // What was not durable is forgotten. A backup that was being written dies with its process; WAL is sent again.
  forget()
  for (const open of openBefore) if (step.kind === 'backup' || step.kind === 'finish') remove(model.open, open)
  if (step.kind !== 'finish') await act(world, step)
  await world.assertLaws()
  return operations
}

function remove<Item>(items: Item[], item: Item): void {
  const index = items.indexOf(item)
  if (index >= 0) items.splice(index, 1)
}

/** L8: to which position a place brings a restore. */
async function lastReached({ made }: World, repository: Repository): Promise<string | undefined> {
  if (repository.store === made.copyStore && !made.copied.has('repository.json')) return undefined
  return (await made.model.reachable(0, repository)).at(-1)
}

/** L7: a restore whose store fails, at whatever operation, ends with an error or with everything, never with less. */
async function assertFailsClosed(world: World): Promise<number> {
  const { made, stores } = world
  let operations = 0
  for (const repository of made.copied.has('repository.json') ? [made.first, made.copy] : [made.first]) {
    const whole = await restored(repository)
    for (let n = 1; ; n += 1) {
      stores.plan({ n, moment: 'before', crash: n % 2 === 0 })
      const result = await restored(repository).catch((error: unknown) => {
        if (!(error instanceof InjectedFailure) && !(error instanceof Fault)) throw error
        return 'failed'
      })
      const done = stores.operations < n
      stores.plan(undefined)
      assert.ok(result === 'failed' || result === whole, `L7: ${result} instead of ${whole}`)
      if (done) break
      operations += 1
    }
  }
  return operations
}

test(
  `L5 to L8 hold whatever store operation fails in backups, WAL, expiries, copies and restores (HOLDFAST_SEED=${seed})`,
  { timeout: 240_000 },
  async (context) => {
    let attempts = 0
    const everyOperation = new Set<Kind>()
    for (let run = 0; run < runs; run += 1) {
      const pick = chance(seed * 31 + run)
      const world = new World()
      await world.made.model.start()
      // Something that can be lost first; then, in the first run, every kind of step once, and then whatever comes.
      const shuffled = run > 0 ? [] : kinds.map((kind) => ({ kind, rank: pick(1000) }))
      const inTurn = shuffled.toSorted((a, b) => a.rank - b.rank).map(({ kind }) => kind)
      const order: readonly Kind[] = ['backup', 'copy', 'backup', ...inTurn]
      for (let index = 0; index < stepsPerRun; index += 1) {
        const kind = order[index] ?? kinds[pick(kinds.length)] ?? 'wal'
        if (kind === 'finish' && world.made.model.open.length === 0) await world.made.model.begin(0, 0)
        const step: Step = { kind, x: index === 0 ? 3 : pick(12), y: pick(12) }
        const name = `run ${run}, step ${index}: ${JSON.stringify(step)}`
        try {
          if (!everyOperation.has(kind) && index > 2) {
            const back = world.snapshot()
            for (const moment of ['before', 'after'] as const) {
              for (let n = 1; ; n += 1) {
                const operations = await attempt(world, step, { n, moment, crash: n % 3 !== 0 })
                back()
                if (operations < n) break
                attempts += 1
              }
            }
            if (kind !== 'restore') everyOperation.add(kind)
          }
          // And on from one of these, so that what a failure leaves is there for all that follows.
          const failure = { n: 1 + pick(60), moment: pick(2) === 0 ? 'before' : 'after', crash: pick(3) > 0 } as const
          await attempt(world, step, failure)
          attempts += 1
          if (kind === 'restore' && !everyOperation.has(kind)) {
            attempts += await assertFailsClosed(world)
            everyOperation.add(kind)
          }
        } catch (error) {
          throw new Error(`HOLDFAST_SEED=${seed}, ${name}`, { cause: error })
        }
      }
      // In the end everything comes to rest: a copy without failures has all, and reaches as far.
      await act(world, { kind: 'copy', x: 0, y: 0 })
      await world.assertLaws()
      assert.deepEqual(await lastReached(world, world.made.copy), await lastReached(world, world.made.first))
      assert.equal(await restored(world.made.copy), await restored(world.made.first))
    }
    assert.deepEqual([...everyOperation].toSorted(), kinds.toSorted())
    context.diagnostic(`seed ${seed}: ${attempts} attempts, every operation of every kind of step`)
  },
)
