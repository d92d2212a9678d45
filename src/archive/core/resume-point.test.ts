import assert from 'node:assert/strict'
import { test } from 'node:test'
import { segmentNameAt } from '../../repository/core/object-names.ts'
import type { WalInventory } from '../../repository/core/wal-coverage.ts'
import type { Lsn, TimelineId } from '../../wal/core/lsn.ts'
import { timelinePath } from '../../wal/core/timeline-history.ts'
import type { TimelineStretch } from '../../wal/core/timeline-history.ts'
import { resumePoint } from './resume-point.ts'

const segmentBytes = 2 ** 20

function at(segments: number): Lsn {
  return BigInt(Math.round(segments * segmentBytes)) as Lsn
}

function inventory(
  segments: readonly (readonly [number, number])[],
  tails: readonly (readonly [number, number, number])[] = [],
): WalInventory {
  return {
    segments: segments.map(([timeline, number]) => ({
      timeline: timeline as TimelineId,
      name: segmentNameAt(timeline as TimelineId, at(number), segmentBytes),
    })),
    tails: tails.map(([timeline, start, end]) => ({
      timeline: timeline as TimelineId,
      startLsn: at(start),
      endLsn: at(end),
    })),
    histories: [],
  }
}

function path(...ancestors: readonly number[]): readonly TimelineStretch[] {
  const entries = ancestors.map((end, index) => ({
    timeline: (index + 1) as TimelineId,
    switchLsn: at(end),
    reason: '',
  }))
  return timelinePath({ timeline: (ancestors.length + 1) as TimelineId, ancestors: entries })
}

function resume(from: WalInventory, along: readonly TimelineStretch[]): readonly [number, number, number] | undefined {
  const point = resumePoint(from, along, segmentBytes)
  if (point === undefined) return undefined
  return [point.timeline, Number(point.durableLsn) / segmentBytes, Number(point.segmentStart) / segmentBytes]
}

test('the archive goes on where the repository ends', () => {
  assert.equal(resume(inventory([]), path()), undefined)
  assert.deepEqual(
    resume(
      inventory([
        [1, 3],
        [1, 4],
      ]),
      path(),
    ),
    [1, 5, 5],
  )
  assert.deepEqual(
    resume(
      inventory(
        [[1, 3]],
        [
          [1, 4, 4.25],
          [1, 4.25, 4.5],
        ],
      ),
      path(),
    ),
    [1, 4.5, 4],
  )
  assert.deepEqual(
    resume(
      inventory([
        [1, 3],
        [1, 7],
      ]),
      path(),
    ),
    [1, 8, 8],
    'behind an older gap',
  )
  assert.deepEqual(resume(inventory([[1, 3]], [[1, 4.25, 4.5]]), path()), [1, 4, 4], 'a part that joins nothing')
})

test('after a failover the old timeline is completed first, then the new one begins at its segment', () => {
  assert.deepEqual(resume(inventory([[1, 3]], [[1, 4, 4.25]]), path(4.5)), [1, 4.25, 4])
  assert.deepEqual(resume(inventory([[1, 3]], [[1, 4, 4.5]]), path(4.5)), [2, 4, 4])
  assert.deepEqual(
    resume(
      inventory([
        [1, 3],
        [1, 4],
        [1, 5],
      ]),
      path(4.5),
    ),
    [2, 4, 4],
    'the old primary wrote on',
  )
  assert.deepEqual(
    resume(
      inventory(
        [[1, 3]],
        [
          [1, 4, 4.5],
          [2, 4, 4.75],
        ],
      ),
      path(4.5),
    ),
    [2, 4.75, 4],
  )
  assert.deepEqual(resume(inventory([[1, 3]]), path(4)), [2, 4, 4], 'a fork at a segment boundary')
  assert.deepEqual(resume(inventory([[1, 3]], [[2, 3, 3.75]]), path(3.5, 6)), [2, 3.75, 3])
  assert.deepEqual(
    resume(
      inventory([
        [1, 3],
        [2, 3],
        [2, 4],
        [2, 5],
      ]),
      path(3.5, 6),
    ),
    [3, 6, 6],
  )
  assert.deepEqual(resume(inventory([[1, 3]], [[2, 9, 9.5]]), path(3.5, 6)), [2, 3, 3], 'timeline 2 past its own fork')
})

test('what lies behind the fork on the old timeline is not taken for a way to it', () => {
  assert.deepEqual(
    resume(
      inventory([
        [1, 3],
        [1, 6],
      ]),
      path(4.5),
    ),
    [1, 4, 4],
  )
})
