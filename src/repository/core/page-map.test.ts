import assert from 'node:assert/strict'
import test from 'node:test'
import * as fc from 'fast-check'
import {
  buildPageMap,
  clipPageMap,
  findPage,
  overlayPageMap,
  pagesPerRecord,
  renumberPacks,
  splitByRecord,
  unmappedPages,
  type PageMap,
  type PagePlace,
  type PageRun,
} from './page-map.ts'

/** The plainest model of a page map: a place for each page. */
type Model = ReadonlyMap<number, PagePlace>

const place: fc.Arbitrary<PagePlace> = fc
  .tuple(fc.nat(3), fc.nat(4), fc.nat(pagesPerRecord - 1))
  .map(([pack, record, slot]) => ({ pack, record, slot }))

const scattered: fc.Arbitrary<Model> = fc
  .uniqueArray(fc.tuple(fc.nat(200), place), { selector: ([page]) => page, maxLength: 120 })
  .map((entries) => new Map(entries))

/** Files copied whole, as a full backup does: consecutive pages from some record on, sometimes with holes. */
const copied: fc.Arbitrary<Model> = fc
  .tuple(fc.nat(200), fc.nat(3), fc.nat(4), fc.array(fc.nat(200), { maxLength: 3 }))
  .map(([count, pack, record, holes]) => {
    const pages = Array.from({ length: count }, (_, page) => page).filter((page) => !holes.includes(page))
    return new Map(
      pages.map((page) => {
        const position = record * pagesPerRecord + page
        return [page, { pack, record: Math.floor(position / pagesPerRecord), slot: position % pagesPerRecord }]
      }),
    )
  })

const model = fc.oneof(scattered, copied)

function mapOf(pages: Model): PageMap {
  return buildPageMap([...pages].map(([page, at]) => ({ startPage: page, count: 1, ...at })))
}

function modelOf(map: PageMap, upTo = 400): Model {
  const found = Array.from({ length: upTo }, (_, page) => [page, findPage(map, page)] as const)
  return new Map(found.filter((entry): entry is [number, PagePlace] => entry[1] !== undefined))
}

function assertSameModel(actual: Model, expected: Model): void {
  assert.deepEqual(
    [...actual].toSorted(([a], [b]) => a - b),
    [...expected].toSorted(([a], [b]) => a - b),
  )
}

/** What makes a map normal: ascending, no overlap, nothing left to join. */
function assertNormal(map: PageMap): void {
  assert.deepEqual(buildPageMap(map), map)
  for (const [index, run] of map.entries()) {
    assert.ok(run.count > 0)
    assert.ok(run.slot < pagesPerRecord)
    const next = map[index + 1]
    if (next !== undefined) assert.ok(run.startPage + run.count <= next.startPage)
  }
}

test('a map finds every page where it was put, and no other page', () => {
  fc.assert(fc.property(model, (pages) => assertSameModel(modelOf(mapOf(pages)), pages)))
})

test('a map does not depend on the order in which runs come, and is normal', () => {
  fc.assert(
    fc.property(model, fc.infiniteStream(fc.nat()), (pages, weights) => {
      const map = mapOf(pages)
      const shuffled = [...map]
        .map((run) => ({ run, weight: weights.next().value }))
        .toSorted((a, b) => a.weight - b.weight)
      assertNormal(map)
      assert.deepEqual(buildPageMap(shuffled.map(({ run }) => run)), map)
    }),
  )
})

test('a page mapped twice is refused', () => {
  fc.assert(
    fc.property(model, fc.nat(), place, (pages, index, at) => {
      fc.pre(pages.size > 0)
      const page = [...pages.keys()][index % pages.size] ?? 0
      const runs = [...mapOf(pages), { startPage: page, count: 1, ...at }]
      assert.throws(() => buildPageMap(runs), RangeError)
    }),
  )
})

test('an overlay has the changed pages from the change and every other page from the parent', () => {
  fc.assert(
    fc.property(model, model, (parent, changed) => {
      const map = overlayPageMap(mapOf(parent), mapOf(changed))
      assertNormal(map)
      assertSameModel(modelOf(map), new Map([...parent, ...changed]))
    }),
    { numRuns: 500 },
  )
})

test('overlays are idempotent and associative, and the empty map is neutral', () => {
  fc.assert(
    fc.property(model, model, model, (first, second, third) => {
      const [a, b, c] = [mapOf(first), mapOf(second), mapOf(third)]
      assert.deepEqual(overlayPageMap(a, a), a)
      assert.deepEqual(overlayPageMap(a, []), a)
      assert.deepEqual(overlayPageMap([], a), a)
      assert.deepEqual(overlayPageMap(overlayPageMap(a, b), c), overlayPageMap(a, overlayPageMap(b, c)))
    }),
  )
})

test('clipping keeps exactly the pages of the shorter file', () => {
  fc.assert(
    fc.property(model, fc.nat(250), (pages, pageCount) => {
      const map = clipPageMap(mapOf(pages), pageCount)
      assertNormal(map)
      assertSameModel(modelOf(map), new Map([...pages].filter(([page]) => page < pageCount)))
    }),
  )
})

test('unmapped pages are exactly those that are not found', () => {
  fc.assert(
    fc.property(model, fc.nat(250), (pages, pageCount) => {
      const missing = unmappedPages(mapOf(pages), pageCount).flatMap(({ startPage, count }) =>
        Array.from({ length: count }, (_, index) => startPage + index),
      )
      const expected = Array.from({ length: pageCount }, (_, page) => page).filter((page) => !pages.has(page))
      assert.deepEqual(missing, expected)
    }),
  )
})

test('split by record, no run leaves its record and all pages remain', () => {
  fc.assert(
    fc.property(model, (pages) => {
      const map = mapOf(pages)
      const pieces = [...splitByRecord(map)]
      for (const piece of pieces) assert.ok(piece.slot + piece.count <= pagesPerRecord)
      assert.deepEqual(buildPageMap(pieces), map)
    }),
  )
})

test('a file copied whole is one run, over as many full records as it takes', () => {
  const records: PageRun[] = [
    { startPage: 0, count: 32, pack: 4, record: 10, slot: 0 },
    { startPage: 32, count: 32, pack: 4, record: 11, slot: 0 },
    { startPage: 64, count: 7, pack: 4, record: 12, slot: 0 },
  ]
  assert.deepEqual(buildPageMap(records), [{ startPage: 0, count: 71, pack: 4, record: 10, slot: 0 }])
})

test('runs are not joined over a record that is not full, over packs, or over a hole', () => {
  const first: PageRun = { startPage: 0, count: 31, pack: 0, record: 0, slot: 0 }
  const strangers: PageRun[] = [
    { startPage: 31, count: 1, pack: 0, record: 1, slot: 0 },
    { startPage: 31, count: 1, pack: 1, record: 0, slot: 31 },
    { startPage: 32, count: 1, pack: 0, record: 0, slot: 31 },
  ]
  for (const stranger of strangers) assert.equal(buildPageMap([first, stranger]).length, 2)
  assert.equal(buildPageMap([first, { startPage: 31, count: 1, pack: 0, record: 0, slot: 31 }]).length, 1)
})

test('packs can be renumbered', () => {
  const map = buildPageMap([{ startPage: 0, count: 3, pack: 2, record: 0, slot: 0 }])
  assert.deepEqual(
    findPage(
      renumberPacks(map, (pack) => pack + 5),
      2,
    ),
    { pack: 7, record: 0, slot: 2 },
  )
})
