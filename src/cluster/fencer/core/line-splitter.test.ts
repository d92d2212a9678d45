import assert from 'node:assert/strict'
import { it } from 'node:test'
import * as fc from 'fast-check'
import { createLineSplitter, longestLineChars } from './line-splitter.ts'

it('gives the same lines however the text was cut', () => {
  fc.assert(
    fc.property(
      fc.array(fc.string().map((text) => text.replaceAll('\n', ' '))),
      fc.infiniteStream(fc.nat(7)),
      (lines, cuts) => {
        const split = createLineSplitter()
        const found: string[] = []
        for (let rest = lines.map((line) => `${line}\n`).join(''); rest !== '';) {
          const length = 1 + (cuts.next().value ?? 0)
          found.push(...split(rest.slice(0, length)))
          rest = rest.slice(length)
        }
        assert.deepEqual(found, lines)
      },
    ),
  )
})

it('gives up on a line without end', () => {
  const split = createLineSplitter()
  split('x'.repeat(longestLineChars))
  assert.throws(() => split('x'), RangeError)
})
