import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import type { EpochMs } from '../../std/clock.ts'
import type { Lsn, TimelineId } from '../../wal/core/lsn.ts'
import type { TimelineHistory } from '../../wal/core/timeline-history.ts'
import type { Catalogue, CatalogueBackup, CatalogueTimeline } from './catalogue.ts'
import { planRestore } from './plan.ts'
import type { PlanOutcome, RestorePlan, RestoreRequest } from './plan.ts'
import { pathTo } from './timeline-path.ts'

// Segments of 10 bytes keep the tables readable: segment 3 holds the positions 30 to 39.
const segmentBytes = 10

function lsn(value: number): Lsn {
  return BigInt(value) as Lsn
}

function backup(id: string, timeline: number, start: number, stop: number): CatalogueBackup {
  const times = { stopTimeMs: stop * 1000 }
  return { id, timeline: timeline as TimelineId, startLsn: lsn(start), stopLsn: lsn(stop), ...times, sizeBytes: 1 }
}

function timeline(
  id: number,
  ancestors: readonly (readonly [number, number])[] | undefined,
  segments: readonly number[],
  tails: readonly (readonly [number, number])[] = [],
): CatalogueTimeline {
  return {
    timeline: id as TimelineId,
    history: ancestors === undefined ? undefined : historyOf(id, ancestors),
    segments: segments.map((segment) => lsn(segment * segmentBytes)),
    tails: tails.map(([start, end]) => ({ timeline: id as TimelineId, startLsn: lsn(start), endLsn: lsn(end) })),
  }
}

function historyOf(id: number, ancestors: readonly (readonly [number, number])[]): TimelineHistory {
  const entries = ancestors.map(([ancestor, end]) => ({
    timeline: ancestor as TimelineId,
    switchLsn: lsn(end),
    reason: '',
  }))
  return { timeline: id as TimelineId, ancestors: entries }
}

function catalogue(backups: readonly CatalogueBackup[], ...timelines: readonly CatalogueTimeline[]): Catalogue {
  return { segmentBytes, backups, timelines }
}

function plan(from: Catalogue, request: Partial<RestoreRequest> = {}): PlanOutcome {
  return planRestore(from, { target: { kind: 'latest' }, timeline: 'latest', ...request })
}

function planned(outcome: PlanOutcome): RestorePlan {
  assert.ok(
    'plan' in outcome,
    JSON.stringify(outcome, (_, value) => (typeof value === 'bigint' ? Number(value) : value)),
  )
  return outcome.plan
}

function refusal(outcome: PlanOutcome): string {
  assert.ok('refusal' in outcome, 'a refusal was expected')
  return outcome.refusal.kind
}

function pieces(outcome: PlanOutcome): readonly string[] {
  return planned(outcome).wal.map(
    (piece) => `${piece.timeline}/${Number(piece.segmentStart) / segmentBytes}=${piece.validBytes}`,
  )
}

test('whole segments, then the parts of the unfinished one', () => {
  const from = catalogue(
    [backup('a', 1, 12, 15)],
    timeline(
      1,
      [],
      [0, 1, 2],
      [
        [30, 33],
        [33, 37],
      ],
    ),
  )
  assert.deepEqual(pieces(plan(from)), ['1/1=10', '1/2=10', '1/3=7'])
  assert.equal(planned(plan(from)).walEndLsn, 37n)
})

test('parts may overlap', () => {
  const from = catalogue(
    [backup('a', 1, 12, 15)],
    timeline(
      1,
      [],
      [],
      [
        [10, 12],
        [12, 14],
        [10, 16],
        [15, 17],
        [16, 18],
      ],
    ),
  )
  assert.deepEqual(pieces(plan(from)), ['1/1=8'])
})

test('a segment with a fork comes from the child, which repeats the parent up to the fork', () => {
  const parent = timeline(1, [], [1, 2], [[30, 35]])
  const from = catalogue([backup('a', 1, 12, 15)], parent, timeline(2, [[1, 35]], [3], [[40, 44]]))
  assert.deepEqual(pieces(plan(from)), ['1/1=10', '1/2=10', '2/3=10', '2/4=4'])
})

test('before the child has any WAL the parent serves the segment, but not past the fork', () => {
  const from = catalogue([backup('a', 1, 12, 15)], timeline(1, [], [1, 2, 3]), timeline(2, [[1, 25]], []))
  assert.deepEqual(pieces(plan(from)), ['1/1=10', '1/2=5'])
  assert.equal(planned(plan(from)).timeline, 2)
})

test('what an old primary wrote past the fork is reached only on its own timeline', () => {
  const from = catalogue([backup('a', 1, 12, 15)], timeline(1, [], [1, 2, 3]), timeline(2, [[1, 25]], [2]))
  const target = { kind: 'lsn', lsn: lsn(35), inclusive: true } as const
  assert.equal(refusal(plan(from, { target })), 'after-last-wal')
  assert.deepEqual(pieces(plan(from, { target, timeline: 1 as TimelineId })), ['1/1=10', '1/2=10', '1/3=10'])
})

test('several forks in one segment', () => {
  const histories = [timeline(1, [], [1], [[20, 23]]), timeline(2, [[1, 23]], [], [[20, 26]])]
  const third = timeline(
    3,
    [
      [1, 23],
      [2, 26],
    ],
    [],
    [[20, 28]],
  )
  assert.deepEqual(pieces(plan(catalogue([backup('a', 1, 12, 15)], ...histories, third))), ['1/1=10', '3/2=8'])
})

test('the newest backup that ended before the target is taken', () => {
  const from = catalogue([backup('a', 1, 12, 15), backup('b', 1, 22, 25)], timeline(1, [], [1, 2, 3]))
  const chosen = (request: Partial<RestoreRequest>): string => planned(plan(from, request)).backup.id
  assert.equal(chosen({}), 'b')
  assert.equal(chosen({ target: { kind: 'immediate' } }), 'b')
  assert.equal(chosen({ target: { kind: 'lsn', lsn: lsn(24), inclusive: true } }), 'a')
  assert.equal(chosen({ target: { kind: 'lsn', lsn: lsn(25), inclusive: true } }), 'b')
  assert.equal(chosen({ target: { kind: 'time', epochMicros: 24_999_999n, inclusive: true } }), 'a')
  assert.equal(chosen({ target: { kind: 'time', epochMicros: 25_000_000n, inclusive: true } }), 'b')
  assert.equal(chosen({ backupId: 'a' }), 'a')
})

test('a backup from beyond the fork is not on the way', () => {
  const backups = [backup('a', 1, 12, 15), backup('diverged', 1, 32, 36)]
  const from = catalogue(backups, timeline(1, [], [1, 2, 3]), timeline(2, [[1, 25]], [2, 3]))
  assert.equal(planned(plan(from)).backup.id, 'a')
  const current = planned(plan(from, { timeline: 'current' }))
  assert.equal(current.backup.id, 'diverged')
  assert.equal(current.timeline, 1)
  assert.equal(planned(plan(from, { backupId: 'diverged' })).timeline, 1)
})

test('refusals', () => {
  const one = [backup('a', 1, 12, 15)]
  const wal = timeline(1, [], [1, 2, 4], [[50, 53]])
  const at = (position: number): Partial<RestoreRequest> => ({
    target: { kind: 'lsn', lsn: lsn(position), inclusive: true },
  })
  assert.equal(refusal(plan(catalogue([], wal))), 'no-backups')
  assert.equal(refusal(plan(catalogue(one, wal), { backupId: 'x' })), 'unknown-backup')
  assert.equal(refusal(plan(catalogue(one, wal), { timeline: 7 as TimelineId })), 'unknown-timeline')
  assert.equal(refusal(plan(catalogue(one, wal, timeline(2, undefined, [4])))), 'unknown-history')
  assert.equal(refusal(plan(catalogue(one, wal), at(14))), 'before-oldest-backup')
  assert.equal(refusal(plan(catalogue(one, wal))), 'wal-gap')
  assert.equal(refusal(plan(catalogue(one, wal), at(35))), 'wal-gap')
  assert.equal(refusal(plan(catalogue(one, timeline(1, [], [1, 2])), at(30))), 'after-last-wal')
  assert.equal(refusal(plan(catalogue(one, timeline(1, [], [], [[10, 14]])))), 'wal-gap')
  assert.equal(refusal(plan(catalogue(one, timeline(1, [], [2])))), 'wal-gap')
  assert.equal(refusal(plan(catalogue(one, wal, timeline(2, [[1, 13]], [2])))), 'before-oldest-backup')
})

test('a gap is named, and what lies before it can be reached', () => {
  const from = catalogue([backup('a', 1, 12, 15)], timeline(1, [], [1, 2, 4]))
  const before = planned(plan(from, { target: { kind: 'lsn', lsn: lsn(25), inclusive: true } }))
  assert.deepEqual(before.gap, { startLsn: 30n, endLsn: 40n, timeline: 1 })
  const byTime = planned(plan(from, { target: { kind: 'time', epochMicros: 99_000_000n, inclusive: true } }))
  assert.equal(byTime.walEndLsn, 30n)
  assert.equal(planned(plan(from, { target: { kind: 'immediate' } })).gap?.endLsn, 40n)
  const outcome = plan(from)
  assert.ok('refusal' in outcome)
  assert.match(outcome.refusal.reason, /from 0\/1E to 0\/28/)
})

const arbitraryCatalogue = fc
  .record({
    forks: fc.array(fc.tuple(fc.nat(4), fc.integer({ min: 1, max: 60 })), { maxLength: 3 }),
    wal: fc.array(
      fc.record({
        segments: fc.uniqueArray(fc.integer({ min: 0, max: 6 }), { maxLength: 7 }),
        tails: fc.array(fc.tuple(fc.integer({ min: 0, max: 69 }), fc.integer({ min: 1, max: 10 })), { maxLength: 6 }),
        history: fc.boolean(),
      }),
      { minLength: 4, maxLength: 4 },
    ),
    backups: fc.array(fc.tuple(fc.integer({ min: 1, max: 4 }), fc.nat(55), fc.integer({ min: 1, max: 12 })), {
      maxLength: 4,
    }),
  })
  .map(({ forks, wal, backups }) => {
    const timelines = [timeline(1, [], wal[0]?.segments ?? [], tailsOf(wal[0]?.tails ?? []))]
    for (const [index, [parentIndex, fork]] of forks.entries()) {
      const parent = timelines[Math.min(parentIndex, index)] as CatalogueTimeline
      const above = (parent.history?.ancestors ?? []).map((entry) => [entry.timeline, Number(entry.switchLsn)] as const)
      const end = Math.max(fork, (above.at(-1)?.[1] ?? 0) + 1)
      const entry = wal[index + 1]
      const ancestors = [...above, [parent.timeline, end] as const]
      timelines.push(timeline(index + 2, ancestors, entry?.segments ?? [], tailsOf(entry?.tails ?? [])))
    }
    const made = backups.map(([on, start, length], index) => backup(`b${index}`, on, start, start + length))
    return catalogue(
      made.filter((entry) => entry.timeline <= timelines.length),
      ...timelines,
    )
  })

function tailsOf(drawn: readonly (readonly [number, number])[]): readonly (readonly [number, number])[] {
  return drawn.map(([start, length]) => [start, Math.min(start + length, (Math.floor(start / 10) + 1) * 10)] as const)
}

const arbitraryRequest = fc.record({
  target: fc.oneof(
    fc.constant({ kind: 'latest' } as const),
    fc.constant({ kind: 'immediate' } as const),
    fc.nat(75).map((value) => ({ kind: 'lsn', lsn: lsn(value), inclusive: true }) as const),
    fc.nat(75).map((value) => ({ kind: 'time', epochMicros: BigInt(value) * 1_000_000n, inclusive: true }) as const),
  ),
  timeline: fc.oneof(
    fc.constant('latest' as const),
    fc.constant('current' as const),
    fc.integer({ min: 1, max: 5 }).map((value) => value as TimelineId),
  ),
})

/** Byte by byte: how far the stored WAL of a path reaches from the segment that holds `start`. */
function bruteForceReach(from: Catalogue, end: TimelineId, start: number): number {
  const path = pathTo(from, end) ?? []
  for (let segment = Math.floor(start / 10); ; segment += 1) {
    let reach = segment * 10
    for (const entry of path) {
      const wal = from.timelines.find((candidate) => candidate.timeline === entry.timeline)
      if (wal === undefined || Number(entry.startLsn) >= segment * 10 + 10) continue
      const stored = (byte: number): boolean =>
        wal.segments.includes(lsn(segment * 10)) ||
        wal.tails.some((part) => part.startLsn >= segment * 10 && part.startLsn <= byte && part.endLsn > byte)
      let byte = segment * 10
      while (byte < segment * 10 + 10 && byte < Number(entry.endLsn ?? 999) && stored(byte)) byte += 1
      if (byte > Number(entry.startLsn) && byte > reach) reach = byte
    }
    if (reach < segment * 10 + 10) return reach
  }
}

test('law L7: a plan holds every byte of WAL from its backup to the target, from the right timelines, or is refused', () => {
  fc.assert(
    fc.property(arbitraryCatalogue, arbitraryRequest, (from, request) => {
      const outcome = planRestore(from, request)
      // Most are refused; so many runs have to give a plan.
      fc.pre(!('refusal' in outcome))
      checkPlan(from, request, outcome.plan)
    }),
    { numRuns: 250, maxSkipsPerRun: 200 },
  )
})

function checkPlan(from: Catalogue, request: RestoreRequest, made: RestorePlan): void {
  let expected = made.backup.startLsn - (made.backup.startLsn % 10n)
  for (const [index, piece] of made.wal.entries()) {
    assert.equal(piece.segmentStart, expected)
    assert.ok(piece.validBytes === segmentBytes || index === made.wal.length - 1, 'only the last piece may be short')
    const end = piece.segmentStart + BigInt(piece.validBytes)
    const entry = made.path.find((candidate) => candidate.timeline === piece.timeline)
    assert.ok(entry !== undefined && (entry.endLsn === undefined || end <= entry.endLsn), 'nothing past a fork')
    checkStored(from, piece.timeline, piece.segmentStart, end)
    expected = end
  }
  assert.equal(made.walEndLsn, expected)
  assert.equal(Number(made.walEndLsn), bruteForceReach(from, made.timeline, Number(made.backup.startLsn)))
  assert.ok(made.walEndLsn >= made.backup.stopLsn)
  if (request.target.kind === 'lsn') assert.ok(made.walEndLsn > request.target.lsn)
  if (request.target.kind === 'lsn') assert.ok(made.backup.stopLsn <= request.target.lsn)
  if (request.target.kind === 'latest') assert.equal(made.gap, undefined)
  assert.equal(made.gap === undefined, !storedBeyond(from, made))
}

function storedBeyond(from: Catalogue, made: RestorePlan): boolean {
  return made.path.some((entry) => {
    const wal = from.timelines.find((candidate) => candidate.timeline === entry.timeline)
    const segments = (wal?.segments ?? []).map((start) => ({ startLsn: start, endLsn: start + 10n }))
    return [...segments, ...(wal?.tails ?? [])].some((range) => {
      const from = range.startLsn > entry.startLsn ? range.startLsn : entry.startLsn
      const end = entry.endLsn !== undefined && entry.endLsn < range.endLsn ? entry.endLsn : range.endLsn
      return from < end && end > made.walEndLsn
    })
  })
}

function checkStored(from: Catalogue, on: TimelineId, start: bigint, end: bigint): void {
  const wal = from.timelines.find((candidate) => candidate.timeline === on)
  assert.ok(wal !== undefined)
  if (wal.segments.includes(start as Lsn)) return
  for (let byte = start; byte < end; byte += 1n) {
    assert.ok(wal.tails.some((tail) => tail.startLsn >= start && tail.startLsn <= byte && tail.endLsn > byte))
  }
}

test('WAL that is on record as lost is refused by name, also while nothing behind it is stored', () => {
  const because = 'no server had it'
  const lost = { id: 'x', fromTimeline: 1 as TimelineId, foundAt: 0 as EpochMs, because }
  const gaps = [{ ...lost, timeline: 1 as TimelineId, startLsn: lsn(40), endLsn: lsn(60) }]
  const stored = { ...catalogue([backup('a', 1, 10, 15)], timeline(1, [], [1, 2, 3])), gaps }
  for (const target of [{ kind: 'latest' }, { kind: 'lsn', lsn: lsn(45), inclusive: true }] as const) {
    const outcome = plan(stored, { target })
    assert.ok('refusal' in outcome)
    assert.equal(outcome.refusal.kind, 'wal-gap')
    assert.match(outcome.refusal.reason, /0\/28 to 0\/3C .* missing .* 1970-01-01T00:00:00.000Z: no server had it/)
  }
  assert.equal(planned(plan(stored, { target: { kind: 'lsn', lsn: lsn(39), inclusive: true } })).walEndLsn, 40n)
  const healed = { ...stored, timelines: [timeline(1, [], [1, 2, 3, 4, 5, 6])] }
  assert.equal(planned(plan(healed)).walEndLsn, 70n)
  const elsewhere = { ...stored, gaps: [{ ...lost, timeline: 2 as TimelineId, startLsn: lsn(40), endLsn: lsn(60) }] }
  assert.equal(planned(plan(elsewhere)).walEndLsn, 40n, 'another timeline lost it')
})
