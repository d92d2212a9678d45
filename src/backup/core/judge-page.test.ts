import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Lsn } from '../../wal/core/lsn.ts'
import { judgeSuspect } from './judge-page.ts'

test('only a page of the backup’s own time may be torn; a wild LSN is damage too', () => {
  const window = { startLsn: 100n as Lsn, stopLsn: 200n as Lsn }
  assert.equal(judgeSuspect(99n, window), 'corrupt')
  assert.equal(judgeSuspect(100n, window), 'torn')
  assert.equal(judgeSuspect(200n, window), 'torn')
  assert.equal(judgeSuspect(201n, window), 'corrupt')
  assert.equal(judgeSuspect(0xffff_ffff_ffff_ffffn, window), 'corrupt')
})
