import assert from 'node:assert/strict'
import { randomInt } from 'node:crypto'
import { join } from 'node:path'
import { test } from 'node:test'
import { copyOnce } from '../../../src/backup/offsite/copy-once.ts'
import { withSql } from '../../../src/postgres/sql.ts'
import { listBackups } from '../../../src/repository/catalogue.ts'
import { expireBackups } from '../../../src/repository/expire-backups.ts'
import type { Repository } from '../../../src/repository/repository.ts'
import { verifyBackup } from '../../../src/repository/verify.ts'
import { planFromRepository } from '../../../src/restore/plan-from-repository.ts'
import { Fault } from '../../../src/std/fault.ts'
import { systemClock } from '../../../src/std/clock.ts'
import { openFileSystemStore } from '../../../src/store/file-system-store.ts'
import { storeFaults } from '../../../src/store/faults.ts'
import { chance } from '../../support/chance.ts'
import { cluster, currentLsn, openArchiveScene, startArchiver, type ArchiveScene } from '../archive/archive-scene.ts'
import { backUp, restore, rowsOf } from '../restore/restore-scene.ts'
import { nothing } from './copy-model.ts'
import { FailingStores } from './failing-stores.ts'

/**
 * The same laws on a real PostgreSQL with a real archiver: few steps, each begun with an operation of the stores that
 * fails, whoever it hits. `HOLDFAST_SEED=N` fails the same operations again; the archiver keeps its own time.
 */
const given = process.env['HOLDFAST_SEED']
const seed = given === undefined ? randomInt(2 ** 31) : Number(given)
const rounds = 3

test(`L5 to L8 on a real server whose stores fail (HOLDFAST_SEED=${seed})`, { timeout: 240_000 }, async (context) => {
  const pick = chance(seed)
  const stores = new FailingStores(() => new Fault(storeFaults['store-failed'], 'Cannot reach the store: injected'))
  await using scene = await openArchiveScene({ decorate: stores.wrap })
  const root = join(scene.server.directory, 'copy')
  const copyStore = stores.wrap(await openFileSystemStore({ root, createRoot: true, clock: systemClock }))
  const copy: Repository = { ...scene.repository, store: copyStore }
  const route = { first: scene.repository, copy: copyStore, cluster, clock: systemClock, pace: async () => {} }
  await using archiver = startArchiver(scene)
  await withSql(scene.server.target, {}, (sql) => sql.query('CREATE TABLE t (x int)'))
  let failures = 0

  /** Does it with an operation that fails, and if that made it fail, once more as one would. */
  const withFailure = async (work: () => Promise<unknown>): Promise<void> => {
    stores.plan({ n: 1 + pick(50), moment: pick(2) === 0 ? 'before' : 'after', crash: pick(2) === 0 })
    const failed = await work().then(
      () => false,
      () => true,
    )
    stores.plan(undefined)
    await assertSound([scene.repository, copy])
    if (!failed) return
    failures += 1
    await work()
    await assertSound([scene.repository, copy])
  }

  for (let round = 1; round <= rounds; round += 1) {
    const insert = `INSERT INTO t SELECT generate_series(${round * 1000}, ${round * 1000 + 999})`
    await withSql(scene.server.target, {}, (sql) => sql.query(insert))
    await withFailure(() => backUp(scene))
    await withFailure(() => copyOnce(route))
    const policy = { ...nothing, count: 1 + pick(2) }
    await withFailure(() => expireBackups(scene.repository, cluster, policy, { clock: systemClock }))
    await withFailure(() => expireBackups(copy, cluster, policy, { clock: systemClock, first: scene.repository }))
  }
  const end = await withSql(scene.server.target, {}, currentLsn)
  await archiver.until(({ durableLsn }) => durableLsn !== undefined && durableLsn >= end)
  const { problems, backups } = await copyOnce(route)
  assert.deepEqual([...problems.keys()], [])
  assert.equal(backups.copied, backups.listed)
  const offsite: ArchiveScene = { ...scene, repository: copy }
  // L7: a restore whose store fails ends with an error; done again in the same place, it ends with every row.
  stores.plan({ n: 8 + pick(8), moment: 'before', crash: true })
  await assert.rejects(restore(offsite, { kind: 'latest' }))
  stores.plan(undefined)
  await using recovered = await restore(offsite, { kind: 'latest' })
  assert.equal((await rowsOf(recovered)).length, rounds * 1000)
  context.diagnostic(`seed ${seed}: ${failures} of ${rounds * 4} steps failed`)
})

async function assertSound(repositories: readonly Repository[]): Promise<void> {
  for (const repository of repositories) {
    const { backups, damaged } = await listBackups(repository, cluster)
    assert.deepEqual(damaged, [])
    for (const commit of backups) {
      assert.deepEqual((await verifyBackup(repository, commit)).bad, [])
      const request = { target: { kind: 'immediate' }, timeline: 'current', backupId: commit.facts.backup } as const
      await planFromRepository(repository, cluster, request)
    }
  }
}
