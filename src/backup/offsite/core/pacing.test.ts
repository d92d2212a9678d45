import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { idlePacing, reserve, type Pacing } from './pacing.ts'

const bytesPerSecond = 1000
const requests = fc.array(
  fc.record({
    kind: fc.constantFrom('wal' as const, 'bulk' as const),
    bytes: fc.integer({ min: 1, max: 5000 }),
    afterMs: fc.nat(3000),
  }),
  { maxLength: 60 },
)

interface Sent {
  readonly kind: 'wal' | 'bulk'
  readonly bytes: number
  readonly askedMs: number
  readonly startMs: number
}

function send(asked: readonly { kind: 'wal' | 'bulk'; bytes: number; afterMs: number }[]): readonly Sent[] {
  let pacing: Pacing = idlePacing
  let nowMs = 0
  return asked.map(({ kind, bytes, afterMs }) => {
    nowMs += afterMs
    const reserved = reserve(pacing, { kind, bytes, nowMs, bytesPerSecond })
    pacing = reserved.pacing
    return { kind, bytes, askedMs: nowMs, startMs: reserved.startMs }
  })
}

test('of one kind no more is sent than the bandwidth allows: one begins when those before have had their time', () => {
  for (const kind of ['wal', 'bulk'] as const) {
    fc.assert(
      fc.property(requests, (asked) => {
        const sent = send(asked.map((request) => ({ ...request, kind })))
        let freeMs = Number.NEGATIVE_INFINITY
        for (const { startMs, askedMs, bytes } of sent) {
          assert.ok(Math.abs(startMs - Math.max(askedMs, freeMs)) < 1e-6)
          freeMs = startMs + (bytes / bytesPerSecond) * 1000
        }
      }),
    )
  }
})

test('bulk waits until everything before it has had its time, WAL only for WAL', () => {
  fc.assert(
    fc.property(requests, (asked) => {
      const sent = send(asked)
      for (const [index, { kind, startMs, askedMs }] of sent.entries()) {
        const before = sent.slice(0, index)
        const first = before[0]?.askedMs ?? askedMs
        const total = before.reduce((sum, { bytes }) => sum + bytes, 0)
        if (kind === 'bulk') {
          // The line is never promised to more than the bytes since it was last idle need.
          assert.ok(startMs <= Math.max(askedMs, first + (total / bytesPerSecond) * 1000 + (askedMs - first)) + 1e-6)
          const last = before.findLast((other) => other.kind === 'bulk')
          if (last !== undefined) assert.ok(startMs >= last.startMs + (last.bytes / bytesPerSecond) * 1000 - 1e-6)
        } else {
          const alone = send(
            asked.slice(0, index + 1).map((request) => (request.kind === 'wal' ? request : { ...request, bytes: 0 })),
          )
          assert.equal(startMs, alone.at(-1)?.startMs)
        }
      }
    }),
  )
})

test('20 MB at 2 MB/s take ten seconds, and WAL in between goes at once', () => {
  const rate = 2 << 20
  let { pacing, startMs } = reserve(idlePacing, { kind: 'bulk', bytes: 20 << 20, nowMs: 0, bytesPerSecond: rate })
  assert.equal(startMs, 0)
  ;({ pacing, startMs } = reserve(pacing, { kind: 'wal', bytes: 1 << 20, nowMs: 100, bytesPerSecond: rate }))
  assert.equal(startMs, 100)
  ;({ startMs } = reserve(pacing, { kind: 'bulk', bytes: 1, nowMs: 200, bytesPerSecond: rate }))
  assert.equal(startMs, 10_500)
})
