import assert from 'node:assert/strict'
import { test } from 'node:test'
import { assembleFile, type AssembledPart } from './assemble-files.ts'

const page = 8192
const common = { path: 'base/5/1', mode: 0o600, modifiedMs: 1.5 }

function part(
  offsetPages: number,
  wanted: number,
  got: number | undefined,
  pack: number,
  firstRecord = 0,
): AssembledPart {
  const records = Array.from({ length: Math.ceil((got ?? 0) / 32) }, (_, index) => ({
    pack,
    record: firstRecord + index,
  }))
  return {
    offset: offsetPages * page,
    wantedBytes: wanted * page,
    lengthBytes: got === undefined ? undefined : got * page,
    records,
    // The hash of a chunk is here 16 times the number of its pack.
    hashes: new Uint8Array(records.length * 16).fill(pack),
  }
}

const assemble = (kind: 'page' | 'whole', ...parts: AssembledPart[]) =>
  assembleFile({ ...common, sizeBytes: listedBytes(parts), kind, parts }, (pack) => pack + 100)

const listedBytes = (parts: readonly AssembledPart[]): number =>
  Math.max(0, ...parts.map((each) => each.offset + each.wantedBytes))

test('parts in any order make one map', () => {
  assert.deepEqual(assemble('page', part(64, 10, 10, 7), part(0, 64, 64, 3, 5)), {
    kind: 'pages',
    path: 'base/5/1',
    sizeBytes: 74 * page,
    mode: 0o600,
    modifiedAt: 1,
    hashes: Buffer.concat([Buffer.alloc(32, 3), Buffer.alloc(16, 7)]).toString('base64'),
    map: [
      { startPage: 0, count: 64, pack: 3, record: 5, slot: 0 },
      { startPage: 64, count: 10, pack: 7, record: 0, slot: 0 },
    ],
  })
})

test('a file that shrank ends at the first part that fell short, whatever later parts found', () => {
  const file = assemble('page', part(0, 64, 33, 0), part(64, 64, 64, 1), part(128, 5, undefined, 1))
  assert.ok(file?.kind === 'pages')
  assert.equal(file.sizeBytes, 33 * page)
  assert.deepEqual(file.map, [{ startPage: 0, count: 33, pack: 0, record: 0, slot: 0 }])
})

test('a file that went away between two parts ends there; one that was gone at once is not there', () => {
  assert.equal(assemble('page', part(0, 64, 64, 0), part(64, 9, undefined, 0))?.sizeBytes, 64 * page)
  assert.equal(assemble('page', part(0, 64, undefined, 0), part(64, 9, 9, 0)), undefined)
  assert.equal(assemble('whole', part(0, 1, undefined, 0)), undefined)
})

test('a file that is empty is there', () => {
  assert.equal(assemble('page', part(0, 0, 0, 0))?.sizeBytes, 0)
  assert.deepEqual(assemble('page', part(0, 5, 0, 0)), { kind: 'pages', ...rest(0), hashes: '', map: [] })
})

function rest(sizeBytes: number) {
  return { path: 'base/5/1', sizeBytes, mode: 0o600, modifiedAt: 1 }
}

test('a whole file is its records in order, joined where they follow each other', () => {
  assert.deepEqual(assemble('whole', part(64, 40, 40, 4), part(0, 64, 64, 3, 9)), {
    kind: 'whole',
    ...rest(104 * page),
    hashes: Buffer.concat([Buffer.alloc(32, 3), Buffer.alloc(32, 4)]).toString('base64'),
    parts: [
      { pack: 3, record: 9, count: 2 },
      { pack: 4, record: 0, count: 2 },
    ],
  })
})

test('pages that were not copied are the parent’s, under the number that its pack has here', () => {
  const parentMap = [
    { startPage: 0, count: 60, pack: 1, record: 0, slot: 0 },
    { startPage: 60, count: 10, pack: 2, record: 0, slot: 0 },
  ]
  const changed = { pack: 0, record: 4, pages: [3, 4, ...Array.from({ length: 12 }, (_, index) => 60 + index)] }
  const asked: number[] = []
  const parts = [
    { offset: 0, wantedBytes: 72 * page, lengthBytes: 72 * page, records: [changed], hashes: new Uint8Array() },
  ]
  const found = assembleFile({ ...common, sizeBytes: listedBytes(parts), kind: 'page', parentMap, parts }, (pack) => {
    asked.push(pack)
    return pack + 100
  })
  assert.ok(found?.kind === 'pages')
  assert.deepEqual(found.map, [
    { startPage: 0, count: 3, pack: 101, record: 0, slot: 0 },
    { startPage: 3, count: 2, pack: 0, record: 4, slot: 0 },
    { startPage: 5, count: 55, pack: 101, record: 0, slot: 5 },
    { startPage: 60, count: 12, pack: 0, record: 4, slot: 2 },
  ])
  // Nothing is left of what the parent's other pack has, so it is not named.
  assert.deepEqual([...new Set(asked)], [1])
})

test('a file that became shorter while it was read has none of the parent’s pages beyond its end', () => {
  const parentMap = [{ startPage: 0, count: 64, pack: 1, record: 0, slot: 0 }]
  const parts = [{ offset: 0, wantedBytes: 64 * page, lengthBytes: 40 * page, records: [], hashes: new Uint8Array() }]
  const found = assembleFile(
    { ...common, sizeBytes: listedBytes(parts), kind: 'page', parentMap, parts },
    (pack) => pack,
  )
  assert.ok(found?.kind === 'pages')
  assert.equal(found.sizeBytes, 40 * page)
  assert.deepEqual(found.map, [{ startPage: 0, count: 40, pack: 1, record: 0, slot: 0 }])
})

test('pages that were taken over lie between those that were copied, and nothing is said of hashes', () => {
  const takenMap = [{ startPage: 10, count: 22, pack: 5, record: 0, slot: 10 }]
  const parts = [part(0, 10, 10, 0), part(32, 8, 8, 0, 1)]
  const file = { ...common, sizeBytes: 40 * page, kind: 'page', takenMap, parts } as const
  const found = assembleFile(file, (pack) => pack)
  assert.ok(found?.kind === 'pages')
  assert.deepEqual(found.map, [
    { startPage: 0, count: 10, pack: 0, record: 0, slot: 0 },
    { startPage: 10, count: 22, pack: 5, record: 0, slot: 10 },
    { startPage: 32, count: 8, pack: 0, record: 1, slot: 0 },
  ])
  assert.equal(found.hashes, undefined)
  const shorter = assembleFile({ ...file, parts: [part(0, 10, 4, 0), part(32, 8, undefined, 0)] }, (pack) => pack)
  assert.ok(shorter?.kind === 'pages')
  assert.deepEqual(shorter.map, [{ startPage: 0, count: 4, pack: 0, record: 0, slot: 0 }])
  assert.equal(assembleFile({ ...file, sizeBytes: 0, takenMap: [], parts: [] }, (pack) => pack)?.sizeBytes, 0)
})
