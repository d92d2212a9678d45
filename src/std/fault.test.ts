import assert from 'node:assert/strict'
import { test } from 'node:test'
import { defineFaults, exitCodes, Fault, isFault } from './fault.ts'

const faults = defineFaults({
  'thing-broken': { exitClass: 'integrity', meaning: 'A thing is broken.', hint: 'Mend it.' },
  'thing-busy': { exitClass: 'busy', meaning: 'A thing is in use.', hint: 'Wait.' },
})

test('a fault carries its code, its exit code and the hint of its kind', () => {
  const fault = new Fault(faults['thing-broken'], 'Cannot use the thing: it is broken', { details: { thing: 'cup' } })
  assert.equal(fault.code, 'thing-broken')
  assert.equal(fault.exitCode, exitCodes.integrity)
  assert.equal(fault.hint, 'Mend it.')
  assert.deepEqual(JSON.parse(JSON.stringify(fault)), {
    code: 'thing-broken',
    exitClass: 'integrity',
    message: 'Cannot use the thing: it is broken',
    hint: 'Mend it.',
    details: { thing: 'cup' },
  })
})

test('a throw site may give a more exact hint', () => {
  assert.equal(new Fault(faults['thing-busy'], 'Cannot', { hint: 'Ask n2.' }).hint, 'Ask n2.')
})

test('isFault tells kinds apart', () => {
  const fault = new Fault(faults['thing-busy'], 'Cannot')
  assert.equal(isFault(fault), true)
  assert.equal(isFault(fault, faults['thing-busy']), true)
  assert.equal(isFault(fault, faults['thing-broken']), false)
  assert.equal(isFault(new Error('Cannot')), false)
})
