import assert from 'node:assert/strict'
import { test } from 'node:test'
import { report, renderReport, type RunFacts } from './report.ts'
import { median, type Sample } from './sample.ts'
import { judge, targets } from './targets.ts'

const facts: RunFacts = {
  startedAt: '2026-11-22T17:00:00.000Z',
  machine: { processor: 'test', cores: 2, memoryBytes: 1, system: 'Linux', loadBefore: 0 },
  versions: { node: '24' },
  data: { scale: 1, randomMegabytes: 1, clusterBytes: 1e9 },
  runs: 1,
  level: 3,
  contenders: [{ name: 'holdfast', setting: 'equal', about: 'zstd 3' }],
  missing: [{ peer: 'barman', because: 'not installed: barman' }],
}

function sample(over: Partial<Sample>): Sample {
  const usual = {
    task: 'full',
    setting: 'equal',
    contender: 'holdfast',
    round: 1,
    wallSeconds: 4,
    cpuSeconds: 6,
  } as const
  return { ...usual, peakBytes: 100e6, storedBytes: 100, ...over }
}

function outcomeOf(name: string, samples: readonly Sample[]): readonly [number | undefined, string] {
  const verdict = judge(samples).find(({ target }) => target === name) ?? assert.fail(`no target ${name}`)
  return [verdict.value, verdict.outcome]
}

test('the median is the middle, or between the two middle ones', () => {
  assert.equal(median([3, 1, 2]), 2)
  assert.equal(median([4, 1, 2, 3]), 2.5)
  assert.equal(median([]), undefined)
})

test('a target is judged by the ratio of medians, not by single runs', () => {
  const ours = [1, 2, 9].map((wallSeconds, index) => sample({ wallSeconds, round: index + 1 }))
  const theirs = [3, 3, 100].map((wallSeconds, round) => sample({ contender: 'pgbackrest', wallSeconds, round }))
  assert.deepEqual(outcomeOf('full backup, wall', [...ours, ...theirs]), [1.5, 'reached'])
  const slower = theirs.map((each) => ({ ...each, wallSeconds: 2.9 }))
  assert.deepEqual(outcomeOf('full backup, wall', [...ours, ...slower]), [1.45, 'missed'])
})

test('of bytes and of recovery time the share counts, and less is better', () => {
  const bytes = (ours: number, theirs: number): Sample[] => [
    sample({ task: 'one-percent', storedBytes: ours }),
    sample({ task: 'one-percent', storedBytes: theirs, contender: 'pgbackrest' }),
  ]
  assert.deepEqual(outcomeOf('1 % random rows, bytes', bytes(60, 100)), [0.6, 'reached'])
  assert.deepEqual(outcomeOf('1 % random rows, bytes', bytes(61, 100)), [0.61, 'missed'])
  const recovery = (wallSeconds: number, contender: string): Sample =>
    sample({ task: 'recovery', wallSeconds, contender })
  assert.deepEqual(outcomeOf('recovery, wall against cp', [recovery(10.5, 'holdfast'), recovery(10, 'cp')]), [
    1.05,
    'reached',
  ])
})

test('speeds are compared with the better mode of the peer', () => {
  const moved = (contender: string, wallSeconds: number): Sample =>
    sample({ task: 'wal-archive', contender, wallSeconds, segments: 100 })
  const samples = [moved('holdfast', 2), moved('pgbackrest', 10), moved('pgbackrest-async', 5)]
  assert.deepEqual(outcomeOf('WAL archived, segments/s', samples), [2.5, 'reached'])
})

test('memory is judged by the worst run of any task and setting', () => {
  const samples = [sample({}), sample({ task: 'restore', setting: 'defaults', peakBytes: 400e6 + 1 })]
  assert.deepEqual(outcomeOf('peak memory', samples), [400e6 + 1, 'missed'])
  assert.deepEqual(outcomeOf('peak memory', [sample({ contender: 'pgbackrest', peakBytes: 1e9 })]), [
    undefined,
    'unmeasured',
  ])
})

test('other levels than the equal one prove nothing', () => {
  const samples = [sample({ setting: 'defaults', wallSeconds: 1 }), sample({ contender: 'pgbackrest', wallSeconds: 9 })]
  assert.deepEqual(outcomeOf('full backup, wall', samples), [undefined, 'unmeasured'])
})

test('the report names what is missed, and what was not measured is not claimed', () => {
  const samples = [
    sample({ wallSeconds: 4, cpuSeconds: 4 }),
    sample({ contender: 'pgbackrest', wallSeconds: 5, cpuSeconds: 8, storedBytes: 100 }),
  ]
  const result = report(facts, samples)
  assert.deepEqual(result.fallsShort, ['full backup, wall'])
  assert.deepEqual(
    result.ratios.filter(({ outcome }) => outcome === 'reached').map(({ target }) => target),
    ['full backup, CPU', 'full backup, bytes', 'peak memory'],
  )
  assert.equal(result.notMeasured.length, targets.length - 4)
  assert.equal(result.samples, samples)
  const text = renderReport(result)
  for (const line of [/not measured: barman: not installed/, /full backup, wall +1\.25 +≥ 1\.5 +missed/]) {
    assert.match(text, line)
  }
})

test('every line of the issue is a target once', () => {
  assert.equal(new Set(targets.map(({ name }) => name)).size, targets.length)
  assert.equal(targets.length, 13)
})
