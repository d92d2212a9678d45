import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createLedger, lostRows } from './ledger.ts'

test('an acknowledged row that is not in the database is lost, an unknown one is not', () => {
  const ledger = createLedger()
  ledger.acknowledge('1:1', { connectedAt: 0, at: 10 })
  ledger.acknowledge('1:2', { connectedAt: 0, at: 20 })
  ledger.leaveUnknown('1:3')
  assert.deepEqual(lostRows(ledger.acknowledgedRows(), ['1:1']), ['1:2'])
  assert.deepEqual(lostRows(ledger.acknowledgedRows(), ['1:1', '1:2', '1:3']), [])
  assert.equal(ledger.unknown, 1)
})

test('rows acknowledged after the look are not missed in it', () => {
  const ledger = createLedger()
  ledger.acknowledge('1:1', { connectedAt: 0, at: 10 })
  const before = ledger.acknowledgedRows()
  ledger.acknowledge('1:2', { connectedAt: 0, at: 20 })
  assert.deepEqual(lostRows(before, ['1:1']), [])
})

test('a row that nobody sent, or that is there twice, is a stranger', () => {
  const ledger = createLedger()
  ledger.send('1:1')
  ledger.send('1:2')
  assert.deepEqual(ledger.strangers(['1:1', '1:2']), [])
  assert.deepEqual(ledger.strangers(['1:1', '1:1', '9:9']), ['1:1', '9:9'])
})

test('the first acknowledgement after a moment is one on a connection opened after it', () => {
  const ledger = createLedger()
  ledger.acknowledge('1:1', { connectedAt: 5, at: 10 })
  assert.equal(ledger.firstAcknowledgedAfter(8), undefined)
  ledger.acknowledge('1:2', { connectedAt: 5, at: 20 })
  ledger.acknowledge('1:3', { connectedAt: 22, at: 30 })
  ledger.acknowledge('1:4', { connectedAt: 25, at: 31 })
  assert.equal(ledger.firstAcknowledgedAfter(8), 30)
  assert.equal(ledger.lastAcknowledgedAt, 31)
})
