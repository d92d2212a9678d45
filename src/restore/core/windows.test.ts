import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Lsn, TimelineId } from '../../wal/core/lsn.ts'
import type { Catalogue, CatalogueBackup } from './catalogue.ts'
import { restoreWindows } from './windows.ts'

// Segments of 10 bytes keep the tables readable: segment 3 holds the positions 30 to 39.
const lsn = (value: number): Lsn => BigInt(value) as Lsn
const one = 1 as TimelineId
const two = 2 as TimelineId

function backup(id: string, timeline: TimelineId, start: number, stop: number): CatalogueBackup {
  return { id, timeline, startLsn: lsn(start), stopLsn: lsn(stop), stopTimeMs: stop, sizeBytes: 1 }
}

function segments(timeline: TimelineId, ...numbers: readonly number[]): Catalogue['timelines'][number] {
  const ancestors = timeline === two ? [{ timeline: one, switchLsn: lsn(45), reason: '' }] : []
  const starts = numbers.map((number) => lsn(number * 10))
  return { timeline, history: { timeline, ancestors }, segments: starts, tails: [] }
}

const shown = (catalogue: Catalogue): readonly string[] =>
  restoreWindows(catalogue).map(
    ({ timeline, from, toLsn, endTimeline, gap }) =>
      `${timeline}: ${from.id} to ${toLsn} on ${endTimeline}${gap === undefined ? '' : `, then nothing to ${gap.endLsn}`}`,
  )

test('a gap divides what can be restored, and a backup behind it begins anew', () => {
  const backups = [backup('a', one, 1, 5), backup('b', one, 12, 15), backup('c', one, 41, 45)]
  assert.deepEqual(shown({ segmentBytes: 10, backups, timelines: [segments(one, 0, 1, 2, 4, 5)] }), [
    '1: a to 30 on 1, then nothing to 40',
    '1: c to 60 on 1',
  ])
})

test('each timeline has its own, over the ones that lead to it', () => {
  const backups = [backup('a', one, 1, 5), backup('b', two, 52, 55)]
  const timelines = [segments(one, 0, 1, 2, 3, 4, 5), segments(two, 4, 5, 6)]
  assert.deepEqual(shown({ segmentBytes: 10, backups, timelines }), ['2: a to 70 on 2', '1: a to 60 on 1'])
})

test('a backup without its own WAL offers nothing', () => {
  const backups = [backup('a', one, 1, 25)]
  assert.deepEqual(shown({ segmentBytes: 10, backups, timelines: [segments(one, 0, 1)] }), [])
})
