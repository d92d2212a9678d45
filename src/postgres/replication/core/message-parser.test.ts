import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import * as fc from 'fast-check'
import { capturedMajors, cutAt, readCaptured } from '../../../../test/integration/replication/captured.ts'
import { createMessageParser, type RawMessage } from './message-parser.ts'

const maxMessageBytes = 1 << 20

function parse(chunks: readonly Uint8Array[]): { messages: RawMessage[]; atBoundary: boolean } {
  const parser = createMessageParser({ maxMessageBytes })
  const messages = chunks.flatMap((chunk) => parser.push(chunk))
  return { messages, atBoundary: parser.atBoundary() }
}

for (const major of capturedMajors) {
  describe(`what PostgreSQL ${major} sent`, () => {
    for (const capture of ['conversation', 'base-backup'] as const) {
      test(`${capture}: however the bytes are cut, the messages are the same`, () => {
        const bytes = readCaptured(capture, major)
        const whole = parse([bytes])
        assert.ok(whole.atBoundary && whole.messages.length > 30)
        const sizeBytes = whole.messages.reduce((sum, { body }) => sum + 5 + body.length, 0)
        assert.equal(sizeBytes, bytes.length)
        fc.assert(
          fc.property(fc.array(fc.nat(), { maxLength: 60 }), (places) => {
            const cut = parse(cutAt(bytes, places))
            assert.deepEqual(cut, whole)
          }),
          { numRuns: 60 },
        )
      })
    }

    test('cut off anywhere inside, it is not at a boundary or has fewer messages', () => {
      const bytes = readCaptured('conversation', major)
      const whole = parse([bytes]).messages.length
      for (let end = 0; end < bytes.length; end += 211) {
        const { messages, atBoundary } = parse([bytes.subarray(0, end)])
        assert.ok(!atBoundary || messages.length < whole)
      }
    })
  })
}

describe('a length word that cannot be', () => {
  for (const [name, length] of [
    ['shorter than itself', 3],
    ['negative', -1],
    ['longer than the limit', maxMessageBytes + 5],
  ] as const) {
    test(name, () => {
      const header = new Uint8Array(5)
      header[0] = 'd'.charCodeAt(0)
      new DataView(header.buffer).setInt32(1, length)
      assert.throws(() => parse([header]), RangeError)
    })
  }
})

test('a message that lies whole in a chunk is not copied', () => {
  const chunk = Uint8Array.of(0x5a, 0, 0, 0, 5, 0x49)
  const [message] = parse([chunk]).messages
  assert.equal(message?.body.buffer, chunk.buffer)
})
