import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { Lsn, TimelineId } from '../../wal/core/lsn.ts'
import { relate } from './lineage.ts'
import type { Lineage } from './lineage.ts'

function way(timeline: number, ...left: readonly (readonly [number, number])[]): Lineage {
  return {
    timeline: timeline as TimelineId,
    left: left.map(([step, at]) => ({ timeline: step as TimelineId, at: BigInt(at) as Lsn })),
  }
}

describe('relate', () => {
  const cases: readonly [string, Lineage, number, Lineage, ReturnType<typeof relate>][] = [
    ['on the same timeline', way(1), 500, way(1), { kind: 'follow' }],
    ['before the point where the leader left', way(1), 100, way(2, [1, 100]), { kind: 'follow' }],
    ['past the point where the leader left', way(1), 101, way(2, [1, 100]), { kind: 'diverged', at: 100n as Lsn }],
    [
      'on a timeline the leader never had',
      way(2, [1, 80]),
      120,
      way(3, [1, 100]),
      { kind: 'diverged', at: 80n as Lsn },
    ],
    [
      'on one that forked later than the leader',
      way(2, [1, 120]),
      130,
      way(3, [1, 100]),
      { kind: 'diverged', at: 100n as Lsn },
    ],
    ['on one that the leader went back from', way(2, [1, 80]), 120, way(1), { kind: 'diverged', at: 80n as Lsn }],
    ['two timelines behind', way(1), 90, way(3, [1, 100], [2, 200]), { kind: 'follow' }],
    [
      'on an ancestor, past its end',
      way(2, [1, 100]),
      201,
      way(3, [1, 100], [2, 200]),
      { kind: 'diverged', at: 200n as Lsn },
    ],
    ['with nothing in common', way(4), 10, way(3, [1, 100], [2, 200]), { kind: 'unrelated' }],
  ]
  for (const [where, local, end, leader, expected] of cases) {
    it(`${expected.kind} ${where}`, () => assert.deepEqual(relate(local, BigInt(end) as Lsn, leader), expected))
  }
})
