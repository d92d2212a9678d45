import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { gate, parseSyncNames, renderSyncNames } from './sync-names.ts'

describe('renderSyncNames', () => {
  it('writes what parseSyncNames reads', () => {
    for (const sync of [{ names: [], count: 0 }, { names: ['n-1', 'n2'], count: 1 }, gate]) {
      assert.deepEqual(parseSyncNames(renderSyncNames(sync)), sync)
    }
    assert.equal(renderSyncNames({ names: ['n-1', 'n2'], count: 2 }), 'ANY 2 ("n-1", "n2")')
  })

  it('waits for ever where somebody is asked for and nobody named', () => {
    assert.equal(renderSyncNames({ names: [], count: 1 }), 'ANY 1 ("holdfast_gate")')
  })

  it('does not read what somebody else wrote', () => {
    assert.equal(parseSyncNames('FIRST 1 (a, b)'), undefined)
  })
})
