import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { EpochMs } from '../../../std/clock.ts'
import type { Lsn, TimelineId } from '../../../wal/core/lsn.ts'
import { reportWal } from './wal-report.ts'
import type { WalFacts } from './wal-report.ts'

const at = (ms: number): EpochMs => ms as EpochMs
const lsn = (value: number): Lsn => BigInt(value) as Lsn
const timeline = 1 as TimelineId
const slot = { name: 's', active: true, status: 'reserved', restartLsn: lsn(0), retainedBytes: 100, safeBytes: null }

const healthy: WalFacts = {
  repository: 'local',
  isCopy: false,
  stored: {
    timelines: [
      { timeline, ranges: [{ startLsn: lsn(0), endLsn: lsn(90) }], segments: 9, storedBytes: 9, newestSegment: 'x' },
    ],
    windows: [],
    gaps: [],
  },
  archiver: { state: 'streaming', tailAgeMs: 0, gaps: [], error: null, saidAt: 9500, caughtUpAt: 9000 },
  agentNow: at(10_000),
  server: { flushLsn: lsn(100), timeline: 1, slot },
}

test('the lag is measured: bytes by what is stored, time since the repository last had everything', () => {
  const report = reportWal(healthy)
  assert.deepEqual([report.lagBytes, report.lagMs, report.problems], [10, 1000, []])
})

test('a link that is dead grows late although its writer has nothing to do', () => {
  const report = reportWal({ ...healthy, agentNow: at(100_000) })
  assert.equal(report.lagMs, 91_000)
  assert.deepEqual(report.problems, ['the archiver has said nothing for 91 s'])
})

test('what is not observed is not claimed', () => {
  const server = { unreachable: 'refused' }
  const unseen = reportWal({ ...healthy, archiver: undefined, agentNow: null, stored: { unreadable: 'gone' }, server })
  assert.deepEqual(
    [unseen.lagBytes, unseen.lagMs, unseen.slot, unseen.archiver, unseen.stored],
    [null, null, null, null, null],
  )
  assert.equal(unseen.problems.length, 3)
  assert.equal(reportWal({ ...healthy, server: { flushLsn: lsn(5), timeline: 2, slot } }).lagBytes, null)
})

test('a copy is judged by what it holds: no archiver writes into it', () => {
  const report = reportWal({
    ...healthy,
    isCopy: true,
    archiver: null,
    server: { flushLsn: lsn(100), timeline: 1, slot: undefined },
  })
  assert.deepEqual([report.problems, report.lagBytes, report.lagMs], [[], 10, null])
})

test('a slot that is missing, lost or over its limit is a problem, and so is a gap without a backup behind it', () => {
  const problem = (changed: Partial<WalFacts>): string => reportWal({ ...healthy, ...changed }).problems.join()
  assert.match(problem({ server: { flushLsn: lsn(9), timeline: 1, slot: undefined } }), /slot is missing/)
  assert.match(problem({ server: { flushLsn: lsn(9), timeline: 1, slot: { ...slot, status: 'lost' } } }), /given up/)
  assert.match(
    problem({ server: { flushLsn: lsn(9), timeline: 1, slot: { ...slot, status: 'unreserved' } } }),
    /about to/,
  )
  const range = {
    id: 'x',
    timeline,
    fromTimeline: timeline,
    startLsn: lsn(1),
    endLsn: lsn(2),
    foundAt: null,
    because: '',
  }
  const stored = {
    timelines: [],
    windows: [],
    gaps: [
      { ...range, open: true },
      { ...range, open: false },
    ],
  }
  assert.match(problem({ stored }), /a stretch of WAL is lost/)
})
