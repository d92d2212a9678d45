import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { EpochMs } from '../../std/clock.ts'
import type { Lsn, TimelineId } from '../../wal/core/lsn.ts'
import { MalformedValue } from './json-reader.ts'
import { clusterKeys, decodeMember, decodeState, encodeEntry, historyKey, memberKey } from './keys.ts'
import { member, state } from './view.fixture.ts'

describe('the values in the coordinator', () => {
  it('come back as they were written, positions and gaps included', () => {
    const full = state({
      lineage: { timeline: 2 as TimelineId, left: [{ timeline: 1 as TimelineId, at: 0x1_0000_00a0n as Lsn }] },
      degraded: { at: 5 as EpochMs, lsn: 0xffff_ffff_0000_0001n as Lsn, because: 'alone' },
      preferred: 'c',
    })
    assert.deepEqual(decodeState(encodeEntry(full)), full)
    assert.deepEqual(decodeState(encodeEntry(state())), state())
    const own = member('b', { frozenForTerm: 4, flushLsn: null, site: 'north', trouble: 'none' })
    assert.deepEqual(decodeMember(encodeEntry(own)), own)
  })

  it('are refused when anything is missing or of another kind, and never filled in', () => {
    const entry = JSON.parse(encodeEntry(state())) as Record<string, unknown>
    for (const key of ['term', 'leader', 'promoted', 'lineage', 'reservedTimeline', 'mode', 'voters']) {
      const { [key]: _, ...rest } = entry
      assert.throws(() => decodeState(JSON.stringify(rest)), MalformedValue, key)
      assert.throws(() => decodeState(JSON.stringify({ ...entry, [key]: ['?'] })), MalformedValue, key)
    }
    assert.throws(() => decodeState('{"term":'), MalformedValue)
    assert.throws(() => decodeState(JSON.stringify({ ...entry, term: 1.5 })), /state\.term is not a whole number/)
    assert.throws(() => decodeState(JSON.stringify({ ...entry, mode: 'quick' })), /one of async, quorum, strict/)
  })

  it('stand under keys that sort by term', () => {
    const keys = clusterKeys('main')
    assert.equal(memberKey(keys, 'n1'), '/holdfast/main/members/n1')
    assert.ok(historyKey(keys, 9) < historyKey(keys, 10))
  })
})
