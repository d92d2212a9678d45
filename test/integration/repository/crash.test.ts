import assert from 'node:assert/strict'
import { test } from 'node:test'
import { beginBackup } from '../../../src/repository/backup-session.ts'
import { listBackups } from '../../../src/repository/catalogue.ts'
import { createPackBuilder } from '../../../src/repository/pack-builder.ts'
import { openRepository, type Repository } from '../../../src/repository/repository.ts'
import { verifyBackup } from '../../../src/repository/verify.ts'
import { readSegmentBestEffort } from '../../../src/repository/wal-segment-best-effort.ts'
import { systemClock } from '../../../src/std/clock.ts'
import { Secret } from '../../../src/std/secret.ts'
import type { ObjectStore } from '../../../src/store/object-store.ts'
import type { Lsn } from '../../../src/wal/core/lsn.ts'
import { failNthOperation, forEveryFailure, InjectedFailure } from '../../contract/fail-nth-operation.ts'
import {
  archiveSampleWal,
  cluster,
  createSampleRepository,
  passphrase,
  sampleSegment,
  sampleTail,
  scratchStore,
  tailStart,
  takeSampleBackup,
  timeline,
  walSegmentBytes,
} from './sample-repository.ts'

/** Lets the injected failure pass; anything else is a defect. */
async function untilFailure(work: () => Promise<unknown>): Promise<void> {
  try {
    await work()
  } catch (error) {
    if (!(error instanceof InjectedFailure)) throw error
  }
}

const open = (store: ObjectStore): Promise<Repository> => openRepository(store, { passphrase: new Secret(passphrase) })

test('L5: creating a repository, failing anywhere, leaves one that works or none, and can be repeated', async () => {
  const attempts = await forEveryFailure(async (n, moment) => {
    await using scratch = await scratchStore()
    const failing = failNthOperation(scratch.store, n, moment)
    await untilFailure(() => createSampleRepository(failing))
    if ((await scratch.store.size('repository.json')) === undefined) await createSampleRepository(scratch.store)
    const repository = await open(scratch.store)
    const commit = await takeSampleBackup(repository)
    assert.deepEqual((await verifyBackup(await open(scratch.store), commit)).bad, [])
    return failing
  })
  assert.ok(attempts >= 10)
})

test('L5: a backup that fails anywhere is not listed, or it is whole', async () => {
  await using scratch = await scratchStore()
  const repository = await createSampleRepository(scratch.store)
  const seen = new Set<string>()
  const attempts = await forEveryFailure(async (n, moment) => {
    const failing = failNthOperation(scratch.store, n, moment)
    await untilFailure(() => takeSampleBackup({ ...repository, store: failing }))
    const { backups, damaged } = await listBackups(repository, cluster)
    assert.deepEqual(damaged, [])
    for (const commit of backups.filter(({ facts }) => !seen.has(facts.backup))) {
      assert.deepEqual((await verifyBackup(repository, commit)).bad, [])
      seen.add(commit.facts.backup)
    }
    await forgetSessions(scratch.store)
    return failing
  })
  assert.ok(attempts >= 10)
  assert.ok(seen.size >= 3, 'those that came through, and that only failed after their commit, are listed')
})

test('L5: abandoning never removes what a commit may refer to', async () => {
  await using scratch = await scratchStore()
  const repository = await createSampleRepository(scratch.store)
  const session = await beginBackup(repository, { cluster, kind: 'full' }, { clock: systemClock })
  const builder = createPackBuilder(repository.keyring, session.packObject(0))
  builder.add({ type: 'file', meta: { path: 'PG_VERSION', offset: 0 }, plain: Buffer.from('18') })
  await session.putPack(builder.finish())
  await session.abandon()
  assert.deepEqual(await keys(scratch.store, cluster), [], 'before the commit everything is removed')

  await forEveryFailure(async (n, moment) => {
    const failing = failNthOperation(scratch.store, n, moment, true)
    let abandon = async (): Promise<void> => {}
    await untilFailure(() =>
      takeSampleBackup({ ...repository, store: failing }, (begun) => {
        abandon = () => begun.abandon()
      }),
    )
    await untilFailure(abandon)
    for (const commit of (await listBackups(repository, cluster)).backups) {
      assert.deepEqual((await verifyBackup(repository, commit)).bad, [])
    }
    await forgetSessions(scratch.store)
    return failing
  })
})

test('L5: archiving WAL, failing anywhere, can be repeated and gives exactly the WAL', async () => {
  await using scratch = await scratchStore()
  const repository = await createSampleRepository(scratch.store)
  await forEveryFailure(async (n, moment) => {
    for (const key of await keys(scratch.store, cluster)) await scratch.store.delete(key)
    const failing = failNthOperation(scratch.store, n, moment)
    await untilFailure(() => archiveSampleWal({ ...repository, store: failing }))
    await archiveSampleWal(repository)
    const segment = await readSegmentBestEffort(repository, place((tailStart - BigInt(walSegmentBytes)) as Lsn))
    assert.equal(segment?.source, 'segment')
    assert.equal(Buffer.compare(segment.bytes, sampleSegment), 0)
    const tail = await readSegmentBestEffort(repository, place(tailStart))
    assert.equal(tail?.source, 'tail')
    assert.equal(Buffer.compare(tail.bytes, sampleTail), 0)
    assert.equal(tail.endLsn, tailStart + 20_000n)
    return failing
  })
})

function place(startLsn: Lsn): { cluster: string; timeline: typeof timeline; startLsn: Lsn; walSegmentBytes: number } {
  return { cluster, timeline, startLsn, walSegmentBytes }
}

/** As if days had passed: else each backup would have more dead ones to look at than the one before. */
async function forgetSessions(store: ObjectStore): Promise<void> {
  for (const key of await keys(store, `${cluster}/sessions`)) await store.delete(key)
}

async function keys(store: ObjectStore, prefix: string): Promise<string[]> {
  return (await Array.fromAsync(store.list(`${prefix}/`))).map(({ key }) => key)
}
