import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import type { EpochMs } from '../../std/clock.ts'
import { expiredProofs, lastProven, parseProofName, proofName, type ProofName } from './proof-name.ts'

const level = fc.constantFrom(0, 1, 2, 3, 4)
const anyResult = fc.oneof(
  fc.record({ requested: level, proven: fc.option(level) }),
  fc.record({ passed: fc.boolean() }),
)
const anyName = fc
  .record({
    at: fc.integer({ min: 0, max: 4_000_000_000 }).map((seconds) => (seconds * 1000) as EpochMs),
    place: fc.constantFrom('local', 'off-site', 'l4-p4', 'keys-ok'),
    result: anyResult,
    random: fc.integer({ min: 0, max: 0xffff_ffff }).map((number) => number.toString(16).padStart(8, '0')),
  })
  .map((proof) => ({ proof, id: proofName(proof) }))

const names = fc.array(anyName, { maxLength: 30 }).map((all) => all.map(({ id }) => parseProofName(id) as ProofName))

test('the name of a proof says what it was made from', () => {
  fc.assert(
    fc.property(anyName, ({ proof, id }) => {
      const { at, place, result } = proof
      const what = 'passed' in result ? { kind: 'keys', ...result } : { kind: 'verification', ...result }
      assert.deepEqual(parseProofName(id), { at, place, id, ...what })
    }),
  )
  for (const text of ['', 'x', '20261122T040000Z-local-l5-p4-00000000', '20261122T040000Z-local-l4-p4']) {
    assert.equal(parseProofName(text), undefined)
  }
})

test('expiry never changes what was last proven, nor the newest of anything', () => {
  fc.assert(
    fc.property(names, fc.integer({ min: 0, max: 4_000_000_000 }), (all, seconds) => {
      const gone = new Set(expiredProofs(all, (seconds * 1000) as EpochMs))
      const left = all.filter((name) => !gone.has(name))
      for (const place of new Set(all.map((name) => name.place))) {
        assert.deepEqual(lastProven(left, place), lastProven(all, place))
        for (const kind of ['keys', 'verification']) {
          const newest = (some: readonly ProofName[]): number =>
            Math.max(...some.filter((name) => name.place === place && name.kind === kind).map(({ at }) => at))
          assert.equal(newest(left), newest(all))
        }
      }
      for (const name of gone) assert.ok(name.at < seconds * 1000)
    }),
  )
})
