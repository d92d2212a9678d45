import assert from 'node:assert/strict'
import { createHash, createSecretKey, randomBytes } from 'node:crypto'
import test from 'node:test'
import * as fc from 'fast-check'
import { isFault } from '../std/fault.ts'
import type { Lsn, TimelineId } from '../wal/core/lsn.ts'
import { maxRecordBytes } from './core/pack-layout.ts'
import type { RecordDescription } from './core/record.ts'
import { repositoryFaults } from './faults.ts'
import type { Keyring } from './keyring.ts'
import { createPackBuilder, type FinishedPack } from './pack-builder.ts'
import { openPack } from './pack-reader.ts'

const keyring = makeKeyring('a repository')
const key = 'main/packs/20260101T000000Z-00000000/000000'

function makeKeyring(repositoryId: string): Keyring {
  const current = { id: randomBytes(16).toString('hex'), key: createSecretKey(randomBytes(32)) }
  return { repositoryId, current, keys: [current] }
}

const path = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 60 })
const uint32 = fc.nat(0xffff_ffff)
const description: fc.Arbitrary<RecordDescription> = fc.oneof(
  fc.tuple(path, uint32, uint32).map(([p, firstPage, pageCount]) => ({
    type: 'pages' as const,
    meta: { path: p, firstPage, pageCount },
  })),
  fc.tuple(path, fc.array(uint32, { maxLength: 32 })).map(([p, pages]) => ({
    type: 'scattered-pages' as const,
    meta: { path: p, pages },
  })),
  fc.tuple(path, fc.maxSafeNat()).map(([p, offset]) => ({ type: 'file' as const, meta: { path: p, offset } })),
  fc.maxSafeNat().map((offset) => ({ type: 'manifest' as const, meta: { offset } })),
  fc.tuple(uint32, fc.bigInt(0n, 2n ** 64n - 1n)).map(([timeline, lsn]) => ({
    type: 'wal' as const,
    meta: { timeline: timeline as TimelineId, startLsn: lsn as Lsn },
  })),
  uint32.map((timeline) => ({ type: 'history' as const, meta: { timeline: timeline as TimelineId } })),
)
const plain = fc.oneof(
  fc.uint8Array({ maxLength: 300 }),
  fc.tuple(fc.nat(255), fc.nat(100_000)).map(([byte, length]) => new Uint8Array(length).fill(byte)),
)

test('what was added is read back, under its number and with its description', () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(description, plain), { maxLength: 12 }), (records) => {
      const builder = createPackBuilder(keyring, key)
      for (const [number, [record, content]] of records.entries()) {
        assert.equal(builder.add({ ...record, plain: content }), number)
      }
      const announced = builder.sizeBytes
      const pack = builder.finish()
      assert.deepEqual([pack.sizeBytes, pack.bytes.length], [announced, announced])
      assert.equal(pack.sha256, createHash('sha256').update(pack.bytes).digest('hex'))
      const opened = openPack(keyring, key, pack.bytes, pack)
      assert.equal(opened.records.length, records.length)
      for (const [number, [record, content]] of records.entries()) {
        const { type, meta, rawBytes } = opened.records[number] ?? assert.fail()
        assert.deepEqual({ type, meta, rawBytes }, { ...record, rawBytes: content.length })
        assert.equal(Buffer.compare(opened.read(number), content), 0)
      }
    }),
  )
})

test('data that does not compress is stored as it is, other data smaller', () => {
  const noise = randomBytes(10_000)
  const zeros = Buffer.alloc(10_000)
  const opened = reopen(packOf(noise, zeros, new Uint8Array(0)))
  assert.deepEqual(
    opened.records.map(({ storedBytes }) => storedBytes),
    [10_016, opened.records[1]?.storedBytes, 16],
  )
  assert.ok((opened.records[1]?.storedBytes ?? 10_000) < 200)
})

test('the same content is sealed differently every time, so writing twice reuses no nonce', () => {
  const [a, b] = [packOf(Buffer.from('same')), packOf(Buffer.from('same'))]
  assert.notEqual(Buffer.compare(a.bytes.subarray(32, 64), b.bytes.subarray(32, 64)), 0)
  assert.notEqual(Buffer.compare(a.bytes.subarray(64, 84), b.bytes.subarray(64, 84)), 0)
})

test('a pack opens only under its own name, in its own repository, with its own key', () => {
  const { bytes } = packOf(Buffer.from('content'))
  assert.throws(() => openPack(keyring, `${key}1`, bytes), named('repository-object-damaged', `${key}1`))
  const elsewhere = { ...keyring, repositoryId: 'another repository' }
  assert.throws(() => openPack(elsewhere, key, bytes), named('repository-object-damaged', key))
  assert.throws(() => openPack(makeKeyring('a repository'), key, bytes), named('repository-key-missing', key))
  const sameId = { id: keyring.current.id, key: createSecretKey(randomBytes(32)) }
  const forged: Keyring = { repositoryId: 'a repository', current: sameId, keys: [sameId] }
  assert.throws(() => openPack(forged, key, bytes), named('repository-object-damaged', key))
})

test('records moved within a pack do not open, although the hash is made to fit', () => {
  const { bytes } = packOf(Buffer.alloc(32, randomBytes(32)), Buffer.alloc(32, randomBytes(32)))
  const moved = Buffer.from(bytes)
  const [first, second] = [moved.subarray(64, 112), Buffer.from(moved.subarray(112, 160))]
  moved.set(first, 112)
  moved.set(second, 64)
  const opened = openPack(keyring, key, rehash(moved))
  for (const number of [0, 1]) assert.throws(() => opened.read(number), named('repository-object-damaged', key))
})

test('a flipped bit anywhere is found without the hash as well', () => {
  const { bytes } = packOf(Buffer.from('some content'), Buffer.alloc(500))
  for (let at = 0; at < bytes.length - 40; at += 1) {
    const flipped = Buffer.from(bytes)
    flipped[at] = (flipped[at] ?? 0) ^ (1 << (at % 8))
    assert.throws(() => {
      const opened = openPack(keyring, key, rehash(flipped))
      for (const number of opened.records.keys()) opened.read(number)
    }, `byte ${at}`)
  }
})

test('limits are kept', () => {
  const builder = createPackBuilder(keyring, key)
  const file = { type: 'file', meta: { path: 'f', offset: 0 } } as const
  assert.throws(() => builder.add({ ...file, plain: new Uint8Array(maxRecordBytes + 1) }), /too large/)
  assert.throws(
    () => builder.add({ ...file, meta: { path: 'x'.repeat(70_000), offset: 0 }, plain: new Uint8Array(1) }),
    /too large/,
  )
  builder.finish()
  assert.throws(() => builder.add({ ...file, plain: new Uint8Array(1) }), /finished/)
  assert.throws(() => builder.finish(), /finished/)
})

function packOf(...contents: readonly Uint8Array[]): FinishedPack {
  const builder = createPackBuilder(keyring, key)
  for (const content of contents) builder.add({ type: 'file', meta: { path: 'f', offset: 0 }, plain: content })
  return builder.finish()
}

function reopen(pack: FinishedPack): ReturnType<typeof openPack> {
  return openPack(keyring, key, pack.bytes, pack)
}

/** What somebody who alters an object and knows the format, but not the key, would do. */
function rehash(bytes: Buffer): Buffer {
  createHash('sha256')
    .update(bytes.subarray(0, -40))
    .digest()
    .copy(bytes, bytes.length - 40)
  return bytes
}

function named(code: keyof typeof repositoryFaults, object: string): (error: unknown) => boolean {
  return (error) => isFault(error, repositoryFaults[code]) && error.details['object'] === object
}
