import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { MonotonicMs } from '../../std/clock.ts'
import { memberEntry } from './member-entry.ts'
import { leaderView } from './view.fixture.ts'

const decision = { commands: [], because: [], wakeAt: 0 as MonotonicMs }

describe('what a node says of its difficulties', () => {
  it('a disk that is full, although PostgreSQL still runs; it may lead all the same', () => {
    const view = leaderView()
    const entry = memberEntry({ ...view, self: { ...view.self, freeBytes: 4096 } }, decision)
    assert.equal(entry.trouble, 'the file system of the data directory is full: 4 kB left')
    assert.equal(entry.eligible, true)
    assert.equal(memberEntry({ ...view, self: { ...view.self, freeBytes: 2 ** 30 } }, decision).trouble, null)
  })

  it('why PostgreSQL is not there, in one line, while that is recent', () => {
    const view = leaderView({ server: { status: 'stopped', crashedAt: null } })
    const failed = (agoMs: number): typeof view => ({
      ...view,
      memory: {
        ...view.memory,
        failures: [{ kind: 'start', at: (view.now - agoMs) as MonotonicMs, code: 'x', message: 'Cannot start:\n  no' }],
      },
    })
    assert.equal(memberEntry(failed(1000), decision).trouble, 'Cannot start: no')
    assert.equal(memberEntry(failed(200_000), decision).trouble, null)
    assert.equal(memberEntry({ ...failed(1000), server: leaderView().server }, decision).trouble, null)
  })
})
