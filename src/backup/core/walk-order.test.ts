import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { compareInWalk } from './walk-order.ts'

test('paths compare by the names on the way', () => {
  const name = fc.string({ minLength: 1, maxLength: 3, unit: fc.constantFrom('a', 'b', '.', '!', '0', 'ü') })
  const path = fc.array(name, { minLength: 1, maxLength: 3 })
  fc.assert(
    fc.property(path, path, (a, b) => {
      const byNames = (): number => {
        for (const [at, left] of a.entries()) {
          const right = b[at]
          if (right === undefined) return 1
          if (left !== right) return left < right ? -1 : 1
        }
        return a.length - b.length
      }
      assert.equal(Math.sign(compareInWalk(a.join('/'), b.join('/'))), Math.sign(byNames()))
    }),
  )
})
