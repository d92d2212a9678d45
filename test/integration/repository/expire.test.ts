import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { listBackups } from '../../../src/repository/catalogue.ts'
import type { RetentionPolicy } from '../../../src/repository/core/retention.ts'
import { expireBackups } from '../../../src/repository/expire-backups.ts'
import { holdBackup, releaseBackup } from '../../../src/repository/holds.ts'
import type { Repository } from '../../../src/repository/repository.ts'
import { Fault } from '../../../src/std/fault.ts'
import type { ObjectStore } from '../../../src/store/object-store.ts'
import { failNthOperation, forEveryFailure, InjectedFailure } from '../../contract/fail-nth-operation.ts'
import { memoryStore } from '../../support/memory-store.ts'
import { turnByTurn } from '../../support/turn-by-turn.ts'
import { cluster, ModelCluster } from './expiry-model.ts'
import { createSampleRepository } from './sample-repository.ts'

const nothing: RetentionPolicy = { days: 0, count: 0, daily: 0, weekly: 0, monthly: 0, yearly: 0 }
/** Wrapping the key takes longer than everything else, so all models share one repository, each with its own objects. */
const origin = new Map<string, Uint8Array>()
const created = await createSampleRepository(memoryStore(origin))

interface Model {
  readonly model: ModelCluster
  readonly objects: Map<string, Uint8Array>
}

async function newModel(): Promise<Model> {
  const objects = new Map(origin)
  const model = new ModelCluster({ ...created, store: memoryStore(objects) })
  await model.start()
  return { model, objects }
}

/** Backups a day apart with WAL between them, each but the first on the one before. */
async function dailyBackups(count: number): Promise<Model> {
  const made = await newModel()
  for (let day = 0; day < count; day += 1) {
    await made.model.begin(day === 0 ? undefined : day - 1, 0)
    await made.model.archive(2)
    await finishLast(made.model)
    made.model.pass(1)
  }
  return made
}

async function finishLast(model: ModelCluster): Promise<void> {
  const last = model.open.at(-1)
  if (last !== undefined) await model.finish(last)
}

const under = (objects: ReadonlyMap<string, Uint8Array>, part: string): string[] =>
  [...objects.keys()].filter((key) => key.startsWith(`${cluster}/${part}/`))
const withStore = (repository: Repository, store: ObjectStore): Repository => ({ ...repository, store })
const ids = async ({ repository }: ModelCluster): Promise<string[]> =>
  (await listBackups(repository, cluster)).backups.map(({ facts }) => facts.backup)

/** Faults that a backup or a hold which meets a collection may end with. */
async function unlessOvertaken(work: () => Promise<unknown>): Promise<void> {
  try {
    await work()
  } catch (error) {
    const expected = ['repository-backup-expiring', 'repository-session-collected', 'repository-backup-not-found']
    if (!(error instanceof Fault) || !expected.includes(error.code)) throw error
  }
}

test('L6: expiry leaves exactly what the kept backups and the window need', async () => {
  const { model, objects } = await dailyBackups(6)
  const all = await ids(model)
  const before = await model.reachable(2)
  const dry = await expireBackups(
    model.repository,
    cluster,
    { ...nothing, days: 2 },
    { clock: model.clock, dryRun: true },
  )
  assert.deepEqual(await ids(model), all, 'a dry run changes nothing')
  const copy = new Map(objects)
  const plan = await model.expire({ ...nothing, days: 2 })
  assert.deepEqual(plan.removals, dry.removals)
  assert.deepEqual(await ids(model), all.slice(3))
  assert.deepEqual(await model.reachable(2), before)
  await model.assertSound()
  // The fourth backup shares packs of the second and third; that of the first is used by nobody.
  assert.deepEqual(under(copy, 'packs').length - under(objects, 'packs').length, 1)
  const [oldest] = (await listBackups(model.repository, cluster)).backups
  const segments = under(objects, 'wal')
  assert.ok(segments.length > 0 && segments.length < under(copy, 'wal').length)
  const first = BigInt(oldest?.facts.startLsn ?? 0n) / 4096n
  assert.deepEqual(BigInt(`0x${segments.toSorted()[0]?.slice(-8)}`), first, 'WAL begins in the segment of the oldest')
  assert.deepEqual(under(objects, 'gc'), [], 'the announcement is taken back')
  const again = await model.expire({ ...nothing, days: 2 })
  assert.deepEqual(again.removals, [], 'a second run finds nothing to do')
})

test('a held backup stays until it is released', async () => {
  const { model } = await dailyBackups(3)
  const [first = ''] = await ids(model)
  const place = { cluster, backup: first }
  const hold = (): Promise<string> =>
    holdBackup(model.repository, { ...place, reason: 'audit' }, { clock: model.clock })
  assert.equal(await hold(), 'held')
  assert.equal(await hold(), 'already')
  const plan = await model.expire(nothing)
  assert.deepEqual(plan.verdicts.find(({ backup }) => backup === first)?.because, ['held: audit'])
  assert.equal((await ids(model)).length, 2)
  await model.assertSound()
  assert.equal(await releaseBackup(model.repository, place), 'released')
  assert.equal(await releaseBackup(model.repository, place), 'free')
  await model.expire(nothing)
  assert.ok(!(await ids(model)).includes(first))
  await assert.rejects(hold(), { code: 'repository-backup-not-found' })
})

test('a damaged commit, whose needs nobody knows, stops expiry before anything is removed', async () => {
  const { model, objects } = await dailyBackups(3)
  const [first = ''] = await ids(model)
  objects.set(`${cluster}/backups/${first}/commit.json`, Buffer.from('{}\n'))
  const before = new Map(objects)
  await assert.rejects(model.expire(nothing), { code: 'repository-collection-unsafe' })
  assert.deepEqual([...objects.keys()], [...before.keys()])
})

test('L5: what a backup that died has left goes after three days, and it can never be listed afterwards', async () => {
  const { model, objects } = await dailyBackups(1)
  await model.begin(undefined, 0)
  const dead = model.open[0] ?? assert.fail()
  const packs = (): string[] => under(objects, `packs/${dead.session.backup}`)
  model.pass(2)
  await model.expire(nothing)
  assert.equal(packs().length, 1, 'it may be alive')
  model.pass(2)
  await model.expire(nothing)
  assert.deepEqual([...packs(), ...under(objects, 'sessions')], [])
  await assert.rejects(model.finish(dead), { code: 'repository-session-collected' })
  await model.assertSound()
  assert.equal((await ids(model)).length, 1)
  await model.expire(nothing)
  assert.deepEqual(under(objects, `backups/${dead.session.backup}`).length, 1, 'only the tombstone')
})

test('what a backup that died has stored is taken over, and what is not used of it goes', async () => {
  const { model, objects } = await dailyBackups(1)
  const [first = ''] = await ids(model)
  for (const node of ['a', 'a', 'b']) await model.begin(undefined, 0, { node })
  const [one, two, other] = model.open.splice(0).map(({ session }) => session.backup)
  // The second of the node has seen that the first is dead, which can never be listed any more.
  assert.equal(under(objects, `backups/${one}`).length, 1)
  const plan = await model.expire(nothing)
  assert.deepEqual([plan.interruptedSessions, new Set(plan.liveSessions)], [[one], new Set([two, other])])
  await model.begin(undefined, 0, { node: 'a' })
  assert.deepEqual(
    new Set(model.open[0]?.files.map(({ path }) => path.slice('data-'.length))),
    new Set([one, two, other, model.open[0]?.session.backup]),
  )
  await finishLast(model)
  await model.assertSound()
  // Of another node nobody but time says that it is dead.
  assert.deepEqual(under(objects, 'sessions'), [`${cluster}/sessions/${other}.json`])
  await model.expire(nothing)
  const left = new Set(under(objects, 'packs').map((key) => key.split('/')[2]))
  assert.deepEqual(left, new Set([one, two, other, ...(await ids(model))]))
  assert.ok(!(await ids(model)).includes(first))
  await model.assertSound()
})

test('a session in the future does not stay for ever', async () => {
  const { model, objects } = await dailyBackups(1)
  model.pass(400)
  await model.begin(undefined, 0)
  model.open.pop()
  model.pass(-400)
  await model.expire(nothing)
  assert.deepEqual(under(objects, 'sessions'), [])
})

test('L5, L6: an expiry that fails at any operation breaks nothing, and the next one completes it', async () => {
  const attempts = await forEveryFailure(async (n, moment) => {
    const { model, objects } = await dailyBackups(4)
    await model.begin(0, 0)
    model.pass(4)
    await model.archive(1)
    await model.begin(3, 0)
    const before = await model.reachable(5)
    const failing = failNthOperation(model.repository.store, n, moment)
    const policy = { ...nothing, days: 5 }
    await model.expire(policy, withStore(model.repository, failing)).catch((error: unknown) => {
      if (!(error instanceof InjectedFailure)) throw error
    })
    await model.assertSound()
    assert.deepEqual(await model.reachable(5), before)
    await finishLast(model)
    await model.assertSound()
    await model.expire(policy)
    await model.assertSound()
    assert.deepEqual(under(objects, 'gc'), [])
    assert.equal(under(objects, 'sessions').length, 0)
    return failing
  })
  assert.ok(attempts >= 40, `${attempts}`)
})

/** Runs `meanwhile` once, right before the first operation of a kind below a part of the cluster. */
function interrupt(
  { repository }: ModelCluster,
  before: { readonly operation: 'delete' | 'list'; readonly part: string; readonly skip?: number },
  meanwhile: () => Promise<unknown>,
): Repository {
  let left = before.skip ?? 0
  const pass = async (operation: string, key: string): Promise<void> => {
    if (operation !== before.operation || !key.startsWith(`${cluster}/${before.part}/`)) return
    left -= 1
    if (left === -1) await meanwhile()
  }
  const inner = repository.store
  return withStore(repository, {
    ...inner,
    async *list(prefix) {
      await pass('list', prefix)
      yield* inner.list(prefix)
    },
    delete: async (key) => {
      await pass('delete', key)
      await inner.delete(key)
    },
  })
}

test('L6: a backup that is being taken keeps its parent and, wherever it begins, its WAL', async () => {
  for (const parent of [0, undefined]) {
    const { model, objects } = await dailyBackups(4)
    await model.begin(parent, 5)
    const wal = under(objects, 'wal').length
    const plan = await model.expire(nothing)
    assert.equal(plan.verdicts.filter(({ keep }) => !keep).length, parent === 0 ? 2 : 3)
    assert.equal(under(objects, 'wal').length, wal)
    await finishLast(model)
    await model.assertSound()
    assert.equal((await ids(model)).length, parent === 0 ? 3 : 2, 'it was committed')
  }
})

test('L5, L6: who begins while something is being removed keeps off it', async () => {
  const { model } = await dailyBackups(4)
  const [first = ''] = await ids(model)
  let asked = 0
  const repository = interrupt(model, { operation: 'delete', part: 'backups' }, async () => {
    const place = { cluster, backup: first, reason: '' }
    const expiring = { code: 'repository-backup-expiring' }
    await assert.rejects(holdBackup(model.repository, place, { clock: model.clock }), expiring)
    await assert.rejects(model.begin(0, 0), expiring)
    // A standby that is behind needs WAL that is there now, and is not when the expiry has come to its end.
    await model.begin(undefined, 5)
    await assert.rejects(finishLast(model), expiring)
    await model.begin(3, 0)
    await finishLast(model)
    asked += 1
  })
  await model.expire(nothing, repository)
  assert.equal(asked, 1)
  await model.assertSound()
  assert.equal((await ids(model)).length, 2)
})

test('what comes to go only after the announcement stays until the next time', async () => {
  const { model } = await dailyBackups(4)
  const all = await ids(model)
  const repository = interrupt(model, { operation: 'list', part: 'packs', skip: 1 }, async () => model.pass(3))
  const plan = await model.expire({ ...nothing, days: 2 }, repository)
  assert.deepEqual(await ids(model), all.slice(1))
  assert.deepEqual(plan.verdicts[1]?.because, ['it came to go only now: the next time'])
  await model.assertSound()
  await model.expire({ ...nothing, days: 2 })
  assert.deepEqual(await ids(model), all.slice(3))
})

const policies: fc.Arbitrary<RetentionPolicy> = fc.record({
  days: fc.nat(6),
  count: fc.nat(3),
  daily: fc.nat(2),
  weekly: fc.nat(2),
  monthly: fc.nat(1),
  yearly: fc.nat(1),
})

type Step =
  | {
      readonly kind: 'archive' | 'promote' | 'pass' | 'finish' | 'crash' | 'interrupt' | 'abandon' | 'hold' | 'release'
      readonly n: number
    }
  | { readonly kind: 'begin'; readonly parent: number | undefined; readonly lag: number; readonly node: string }
  | { readonly kind: 'expire'; readonly policy: RetentionPolicy; readonly failAt: number; readonly after: boolean }

const nodes = fc.constantFrom('a', 'b')

const nth = <const Kind extends string>(...kinds: readonly Kind[]): fc.Arbitrary<{ kind: Kind; n: number }> =>
  fc.record({ kind: fc.constantFrom(...kinds), n: fc.nat(3) })

/** Weighted so that backups come to be listed, grow old, and are built on while others go. */
const steps: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant('begin' as const),
      parent: fc.option(fc.nat(2), { nil: undefined, freq: 3 }),
      lag: fc.nat(4),
      node: nodes,
    }),
  },
  { weight: 4, arbitrary: nth('finish') },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant('expire' as const),
      policy: fc.oneof(fc.constant(nothing), policies),
      failAt: fc.oneof(fc.constant(0), fc.nat(80)),
      after: fc.boolean(),
    }),
  },
  { weight: 3, arbitrary: nth('archive', 'pass') },
  { weight: 2, arbitrary: nth('promote', 'crash', 'interrupt', 'abandon', 'hold', 'release') },
)

async function takeStep(model: ModelCluster, step: Step): Promise<void> {
  const { repository } = model
  switch (step.kind) {
    case 'archive':
      return await model.archive(step.n)
    case 'promote':
      return await model.promote(step.n)
    case 'pass':
      return model.pass(step.n)
    case 'begin':
      return await unlessOvertaken(() => model.begin(step.parent, step.lag, step))
    case 'finish': {
      const open = model.open[step.n % (model.open.length || 1)]
      return open === undefined ? undefined : await unlessOvertaken(() => model.finish(open))
    }
    case 'crash':
      return void model.open.splice(step.n, 1)
    case 'interrupt':
      return await model.open.splice(step.n, 1)[0]?.session.interrupt()
    case 'abandon':
      return await model.open.splice(step.n, 1)[0]?.session.abandon()
    case 'hold':
    case 'release': {
      const listed = await ids(model)
      const backup = listed[step.n % (listed.length || 1)]
      if (backup === undefined) return
      const place = { cluster, backup }
      return await unlessOvertaken(() =>
        step.kind === 'hold'
          ? holdBackup(repository, { ...place, reason: '' }, { clock: model.clock })
          : releaseBackup(repository, place),
      )
    }
    case 'expire': {
      const before = await model.reachable(step.policy.days)
      const failing = failNthOperation(repository.store, step.failAt, step.after ? 'after' : 'before')
      await model
        .expire(step.policy, step.failAt === 0 ? repository : withStore(repository, failing))
        .catch((error) => {
          if (!(error instanceof InjectedFailure)) throw error
        })
      return assert.deepEqual(await model.reachable(step.policy.days), before)
    }
    default:
      step satisfies never
  }
}

test('L5, L6: no sequence of backups, promotions, holds, expiries and crashes breaks what is listed or kept', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(steps, { minLength: 5, maxLength: 40, size: 'max' }), async (sequence) => {
      const { model } = await newModel()
      for (const step of sequence) {
        await takeStep(model, step)
        if (step.kind === 'expire' || step.kind === 'finish') await model.assertSound()
      }
    }),
    { numRuns: 120 },
  )
})

test('L5, L6: backups, a hold and two expiries, however their operations interleave, break nothing', async () => {
  await fc.assert(
    fc.asyncProperty(fc.scheduler(), policies, policies, fc.nat(3), nodes, async (scheduler, one, other, lag, node) => {
      const { model } = await dailyBackups(4)
      // One that died long ago, and one that may be alive or of the same node as the next.
      await model.begin(undefined, 0)
      model.open.pop()
      model.pass(4)
      await model.begin(0, 0, { node: 'a' })
      const [, second = ''] = await ids(model)
      const turns: ObjectStore = turnByTurn(model.repository.store, scheduler)
      const repository = withStore(model.repository, turns)
      const days = Math.min(one.days, other.days)
      const before = await model.reachable(days)
      let held = false
      const work = Promise.all([
        model.expire(one, repository),
        model.expire(other, repository),
        unlessOvertaken(() => model.begin(1, lag, { repository, node })).then(() =>
          unlessOvertaken(() => finishLast(model)),
        ),
        unlessOvertaken(async () => {
          await holdBackup(repository, { cluster, backup: second, reason: '' }, { clock: model.clock })
          held = true
        }),
      ])
      await scheduler.waitFor(work)
      await model.assertSound()
      if (held) assert.ok((await ids(model)).includes(second), 'who was told that it is held finds it')
      const after = await model.reachable(days)
      for (const moment of before) if (!moment.startsWith('latest')) assert.ok(after.includes(moment), moment)
      await unlessOvertaken(() => finishLast(model))
      await model.assertSound()
    }),
    { numRuns: 120 },
  )
})
