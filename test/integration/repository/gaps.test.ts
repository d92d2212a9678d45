import assert from 'node:assert/strict'
import { test } from 'node:test'
import { expireBackups } from '../../../src/repository/expire-backups.ts'
import { gapObject } from '../../../src/repository/core/object-names.ts'
import { readGaps, recordGap } from '../../../src/repository/gaps.ts'
import { openGaps } from '../../../src/repository/open-gaps.ts'
import { putWalSegment } from '../../../src/repository/wal-objects.ts'
import { systemClock, type EpochMs } from '../../../src/std/clock.ts'
import type { Lsn, TimelineId } from '../../../src/wal/core/lsn.ts'
import { memoryStore } from '../../support/memory-store.ts'
import {
  archiveSampleWal,
  cluster,
  createSampleRepository,
  sampleSegment,
  startLsn,
  takeSampleBackup,
  timeline,
  walSegmentBytes,
} from './sample-repository.ts'

const keepAll = { days: 0, count: 5, daily: 0, weekly: 0, monthly: 0, yearly: 0 }
const at = (segment: number): Lsn => (BigInt(segment) * BigInt(walSegmentBytes)) as Lsn
const gap = (from: number, to: number) => ({
  timeline,
  fromTimeline: timeline,
  startLsn: at(from),
  endLsn: at(to),
  foundAt: 1000 as EpochMs,
  because: 'nobody had it',
})

test('a gap is told once, whoever finds it again, and by its name alone when its record is damaged', async () => {
  const objects = new Map<string, Uint8Array>()
  const repository = await createSampleRepository(memoryStore(objects))
  const first = await recordGap(repository, cluster, gap(5, 6))
  const again = await recordGap(repository, cluster, { ...gap(5, 6), foundAt: 2000 as EpochMs, because: 'later' })
  assert.equal(first.id, again.id)
  assert.deepEqual(await readGaps(repository, cluster), [first])
  objects.set(gapObject(cluster, gap(5, 6)), Buffer.from('{}'))
  assert.deepEqual(await readGaps(repository, cluster), [
    { ...first, foundAt: null, because: 'its record cannot be read' },
  ])
})

test('a gap is open until its WAL is there or a backup lies behind it, and its record goes when nobody can want to pass', async () => {
  const repository = await createSampleRepository(memoryStore())
  await archiveSampleWal(repository)
  await takeSampleBackup(repository)
  assert.equal(startLsn / BigInt(walSegmentBytes), 3n)
  const behind = await recordGap(repository, cluster, gap(5, 7))
  await recordGap(repository, cluster, gap(1, 3))
  assert.deepEqual(
    (await openGaps(repository, cluster)).map(({ id }) => id),
    [behind.id],
  )
  const plan = await expireBackups(repository, cluster, keepAll, { clock: systemClock })
  assert.deepEqual(
    plan.removals.filter(({ kind }) => kind === 'gap').map(({ key }) => key),
    [gapObject(cluster, gap(1, 3))],
  )
  assert.deepEqual(
    (await readGaps(repository, cluster)).map(({ id }) => id),
    [behind.id],
  )
  for (const name of ['000000010000000000000005', '000000010000000000000006']) {
    await putWalSegment(repository, { cluster, name, bytes: sampleSegment })
  }
  assert.deepEqual(await openGaps(repository, cluster), [], 'somebody brought it after all')
})

test('on another timeline nothing is concluded from the WAL of this one', async () => {
  const repository = await createSampleRepository(memoryStore())
  await archiveSampleWal(repository)
  const other = await recordGap(repository, cluster, { ...gap(3, 4), timeline: 2 as TimelineId })
  assert.deepEqual(
    (await openGaps(repository, cluster)).map(({ id }) => id),
    [other.id],
  )
})
