import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createLedger } from './ledger.ts'

test('an acknowledged row that is not in the database is missing, an unknown one is not', () => {
  const ledger = createLedger()
  ledger.acknowledge('1:1', 10)
  ledger.acknowledge('1:2', 20)
  ledger.leaveUnknown('1:3')
  assert.deepEqual(ledger.missingFrom(['1:1']), ['1:2'])
  assert.deepEqual(ledger.missingFrom(['1:1', '1:2', '1:3']), [])
})

test('a row that nobody sent, or that is there twice, is a stranger', () => {
  const ledger = createLedger()
  ledger.acknowledge('1:1', 10)
  ledger.leaveUnknown('1:2')
  assert.deepEqual(ledger.strangers(['1:1', '1:2']), [])
  assert.deepEqual(ledger.strangers(['1:1', '1:1', '9:9']), ['1:1', '9:9'])
})

test('the first acknowledgement after a moment is found', () => {
  const ledger = createLedger()
  for (const at of [10, 20, 30]) ledger.acknowledge(`1:${at}`, at)
  assert.equal(ledger.firstAcknowledgedAfter(5), 10)
  assert.equal(ledger.firstAcknowledgedAfter(20), 30)
  assert.equal(ledger.firstAcknowledgedAfter(30), undefined)
  assert.equal(ledger.lastAcknowledgedAt, 30)
})
