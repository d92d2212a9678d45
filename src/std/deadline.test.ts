import assert from 'node:assert/strict'
import { test } from 'node:test'
import { systemClock } from './clock.ts'
import { withDeadline } from './deadline.ts'
import { isFault } from './fault.ts'
import { stdFaults } from './faults.ts'

test('the fault of a passed deadline says what was waited for', async () => {
  const waiting = withDeadline('reach n2', 5, undefined, (signal) => systemClock.sleep(60_000, { signal }))
  await assert.rejects(waiting, (error) => {
    assert.ok(isFault(error, stdFaults['deadline-passed']))
    assert.equal(error.message, 'Cannot reach n2: no answer within 5 ms')
    return true
  })
})

test("the caller's own signal is not taken for the deadline", async () => {
  const caller = new AbortController()
  const waiting = withDeadline('reach n2', 60_000, caller.signal, (signal) => systemClock.sleep(60_000, { signal }))
  caller.abort(new Error('stop'))
  await assert.rejects(waiting, /stop/)
})

test('the result comes back when there was time enough', async () => {
  assert.equal(await withDeadline('add', 60_000, undefined, () => Promise.resolve(3)), 3)
})
