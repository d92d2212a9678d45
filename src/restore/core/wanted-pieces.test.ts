import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import type { PageFile, WholeFile } from '../../repository/core/manifest.ts'
import { findPage } from '../../repository/core/page-map.ts'
import type { EpochMs } from '../../std/clock.ts'
import { packJobs, packRanges } from './pack-jobs.ts'
import { wantedBytes, wantedPieces } from './wanted-pieces.ts'

const pageBytes = 8192
const common = { path: 'base/5/1', mode: 0o600, modifiedAt: 0 as EpochMs }

/** Pages of a file in runs over a few packs, and which of its chunks are wanted. */
const scenario = fc
  .array(fc.record({ count: fc.integer({ min: 1, max: 90 }), pack: fc.nat(3), place: fc.nat(500) }), {
    minLength: 1,
    maxLength: 8,
  })
  .chain((runs) => {
    let startPage = 0
    const map = runs.map(({ count, pack, place }) => {
      const run = { startPage, count, pack, record: Math.floor(place / 32), slot: place % 32 }
      startPage += count
      return run
    })
    const file: PageFile = { kind: 'pages', ...common, sizeBytes: startPage * pageBytes, map }
    return fc.tuple(
      fc.constant(file),
      fc.array(fc.boolean(), { minLength: Math.ceil(startPage / 32), maxLength: Math.ceil(startPage / 32) }),
    )
  })

function rangesOf(chunks: readonly boolean[]): Uint32Array {
  return Uint32Array.from(chunks.flatMap((wanted, chunk) => (wanted ? [chunk, 1] : [])))
}

test('law: exactly the pages of wanted chunks are taken, each from its place', () => {
  fc.assert(
    fc.property(scenario, ([file, chunks]) => {
      const pieces = wantedPieces(file, rangesOf(chunks))
      assert.ok(pieces.kind === 'pages')
      for (let page = 0; page < file.sizeBytes / pageBytes; page += 1) {
        const expected = chunks[Math.floor(page / 32)] === true ? findPage(file.map, page) : undefined
        assert.deepEqual(findPage(pieces.map, page), expected, `page ${page}`)
      }
      const bytes = pieces.map.reduce((sum, run) => sum + run.count * pageBytes, 0)
      assert.equal(wantedBytes(file, rangesOf(chunks)), bytes)
    }),
  )
})

test('law: whatever the ranges of packs are, each piece is in one job, in the order of its pack', () => {
  fc.assert(
    fc.property(scenario, fc.integer({ min: 1, max: 5 }), ([file], maxRows) => {
      const wantedOf = (): 'all' => 'all'
      const ranges = packRanges([file], wantedOf, { packCount: 4, maxRows })
      const jobs = ranges.flatMap((range) => packJobs([file], wantedOf, range))
      const rows = jobs.flatMap((job) => {
        const own: number[][] = []
        for (let at = 0; at < job.pageRows.length; at += 5)
          own.push([job.pack, ...job.pageRows.subarray(at + 1, at + 5)])
        const places = own.map(([, record = 0, slot = 0]) => record * 32 + slot)
        assert.deepEqual(
          places,
          places.toSorted((a, b) => a - b),
        )
        return own
      })
      const expected = file.map.map((run) => [run.pack, run.record, run.slot, run.count, run.startPage])
      assert.deepEqual(new Set(rows.map(String)), new Set(expected.map(String)))
      assert.equal(rows.length, expected.length)
    }),
  )
})

test('of a file that is stored whole the records of wanted chunks are taken, or all when that cannot be told', () => {
  const parts = [
    { pack: 1, record: 5, count: 2 },
    { pack: 2, record: 0, count: 3 },
  ]
  const file: WholeFile = { kind: 'whole', ...common, sizeBytes: 5 * 262_144 - 9, parts }
  const taken = wantedPieces(file, Uint32Array.from([1, 2, 4, 1]))
  assert.deepEqual(taken, {
    kind: 'whole',
    parts: [
      { pack: 1, record: 6, count: 1 },
      { pack: 2, record: 0, count: 1 },
      { pack: 2, record: 2, count: 1 },
    ],
  })
  const odd = { ...file, parts: [{ pack: 1, record: 0, count: 9 }] }
  assert.deepEqual(wantedPieces(odd, Uint32Array.from([1, 1])), { kind: 'whole', parts: odd.parts })
  assert.deepEqual(wantedPieces(odd, new Uint32Array()), { kind: 'whole', parts: [] })
})
