import assert from 'node:assert/strict'
import test from 'node:test'
import type { EpochMs } from '../../std/clock.ts'
import type { Manifest, ManifestFile } from './manifest.ts'
import type { PageRun } from './page-map.ts'
import type { RecordDescription } from './record.ts'
import { expectationsOf, incompleteFile, mismatch, type FoundPieces } from './references.ts'

const pageBytes = 10
const common = { mode: 0o600, modifiedAt: 0 as EpochMs }
const records: readonly (RecordDescription & { readonly rawBytes: number })[] = [
  { type: 'pages', meta: { path: 'a', firstPage: 0, pageCount: 32 }, rawBytes: 320 },
  { type: 'pages', meta: { path: 'a', firstPage: 32, pageCount: 3 }, rawBytes: 30 },
  { type: 'scattered-pages', meta: { path: 'b', pages: [4, 5, 9] }, rawBytes: 30 },
  { type: 'file', meta: { path: 'w', offset: 0 }, rawBytes: 7 },
  { type: 'file', meta: { path: 'w', offset: 7 }, rawBytes: 5 },
]

function manifestOf(files: readonly ManifestFile[]): Manifest {
  return { facts: { pageBytes }, files } as unknown as Manifest
}

function pagesOf(path: string, run: Omit<PageRun, 'pack'>): Manifest {
  return manifestOf([{ ...common, kind: 'pages', path, sizeBytes: 0, map: [{ ...run, pack: 0 }] }])
}

function wholeOf(path: string, sizeBytes: number, parts: readonly (readonly [number, number])[]): Manifest {
  const listed = parts.map(([record, count]) => ({ pack: 0, record, count }))
  return manifestOf([{ ...common, kind: 'whole', path, sizeBytes, parts: listed }])
}

test('pages are where the map says, or the record that has others is named', () => {
  const cases: readonly [Manifest, RegExp | undefined][] = [
    [pagesOf('a', { startPage: 0, count: 35, record: 0, slot: 0 }), undefined],
    [pagesOf('a', { startPage: 31, count: 3, record: 0, slot: 31 }), undefined],
    [pagesOf('b', { startPage: 4, count: 2, record: 2, slot: 0 }), undefined],
    [pagesOf('b', { startPage: 9, count: 1, record: 2, slot: 2 }), undefined],
    [pagesOf('a', { startPage: 0, count: 36, record: 0, slot: 0 }), /record 1 does not hold page 32/],
    [pagesOf('a', { startPage: 1, count: 2, record: 0, slot: 0 }), /record 0 does not hold page 1/],
    [pagesOf('b', { startPage: 0, count: 1, record: 0, slot: 0 }), /record 0 does not hold page 0 .* of b/],
    [pagesOf('b', { startPage: 4, count: 3, record: 2, slot: 0 }), /record 2 does not hold page 4/],
    [pagesOf('a', { startPage: 0, count: 1, record: 3, slot: 0 }), /record 3 does not hold/],
    [pagesOf('a', { startPage: 0, count: 1, record: 9, slot: 0 }), /record 9 does not hold/],
  ]
  for (const [manifest, expected] of cases) {
    const found = mismatch(expectationsOf(manifest), 0, records, new Map())
    if (expected === undefined) assert.equal(found, undefined)
    else assert.match(found ?? 'nothing', expected)
  }
})

test('whole files are made of their own pieces, in order, all of them', () => {
  const cases: readonly [Manifest, RegExp | undefined][] = [
    [wholeOf('w', 12, [[3, 2]]), undefined],
    [
      wholeOf('w', 12, [
        [3, 1],
        [4, 1],
      ]),
      undefined,
    ],
    [wholeOf('w', 7, [[3, 1]]), undefined],
    [wholeOf('empty', 0, []), undefined],
    [
      wholeOf('w', 12, [
        [4, 1],
        [3, 1],
      ]),
      /incomplete/,
    ],
    [wholeOf('w', 12, [[3, 1]]), /incomplete/],
    [wholeOf('w', 5, [[4, 1]]), /incomplete/],
    [wholeOf('w', 12, [[3, 3]]), /record 5 is not a piece of w/],
    [wholeOf('x', 7, [[3, 1]]), /record 3 is not a piece of x/],
    [wholeOf('a', 320, [[0, 1]]), /record 0 is not a piece of a/],
  ]
  for (const [manifest, expected] of cases) {
    const found: FoundPieces = new Map()
    const wrong = mismatch(expectationsOf(manifest), 0, records, found)
    const result = wrong ?? (incompleteFile(manifest, found) === undefined ? undefined : 'incomplete')
    if (expected === undefined) assert.equal(result, undefined)
    else assert.match(result ?? 'nothing', expected)
  }
})
