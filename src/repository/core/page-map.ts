/**
 * A page map says, for one segment file of a relation, in which record of which pack each page is. It is a list of
 * runs: consecutive pages that lie in consecutive slots. Records hold up to 32 pages; a run may go on from the last
 * slot of a full record to slot 0 of the next record of the same pack, so a file copied whole is one run a pack.
 *
 * A backup's map is its own runs laid over its parent's: every backup maps every page, and none needs another's map.
 */
export const pagesPerRecord = 32

export interface PageRun {
  /** The first page of the run in its segment file. */
  readonly startPage: number
  readonly count: number
  /** Number in the list of packs of the manifest that has the map. */
  readonly pack: number
  /** Record and slot of the first page. */
  readonly record: number
  readonly slot: number
}

/** Runs in ascending page order that do not overlap and cannot be joined further. */
export type PageMap = readonly PageRun[]

export interface PagePlace {
  readonly pack: number
  readonly record: number
  readonly slot: number
}

/** Puts runs, in any order, into a map. Throws a `RangeError` when two of them map the same page. */
export function buildPageMap(runs: Iterable<PageRun>): PageMap {
  const sorted = [...runs].filter(({ count }) => count > 0).toSorted((a, b) => a.startPage - b.startPage)
  const map: PageRun[] = []
  for (const run of sorted) {
    const last = map.at(-1)
    if (last !== undefined && endPage(last) > run.startPage) {
      throw new RangeError(`page ${run.startPage} is mapped twice`)
    }
    if (last !== undefined && continues(last, run)) map[map.length - 1] = { ...last, count: last.count + run.count }
    else map.push(run)
  }
  return map
}

/** The parent's map with the pages that `changed` maps replaced. */
export function overlayPageMap(parent: PageMap, changed: PageMap): PageMap {
  return buildPageMap([...withoutPages(parent, changed), ...changed])
}

/** What a map says of the pages that `others` does not have. */
export function withoutPages(map: PageMap, others: PageMap): PageMap {
  const kept: PageRun[] = []
  let next = 0
  for (const run of map) {
    let from = run.startPage
    while (next < others.length && endPage(at(others, next)) <= from) next += 1
    for (let index = next; index < others.length; index += 1) {
      const cut = at(others, index)
      if (cut.startPage >= endPage(run)) break
      if (cut.startPage > from) kept.push(slice(run, from, cut.startPage))
      from = Math.max(from, endPage(cut))
    }
    if (from < endPage(run)) kept.push(slice(run, from, endPage(run)))
  }
  return kept
}

/** The map of the first `pageCount` pages: for a file that became shorter. */
export function clipPageMap(map: PageMap, pageCount: number): PageMap {
  return map
    .filter(({ startPage }) => startPage < pageCount)
    .map((run) => (endPage(run) > pageCount ? slice(run, run.startPage, pageCount) : run))
}

/** Where a page is, or undefined when the map does not have it. */
export function findPage(map: PageMap, page: number): PagePlace | undefined {
  let low = 0
  let high = map.length - 1
  while (low <= high) {
    const middle = (low + high) >> 1
    const run = at(map, middle)
    if (page < run.startPage) high = middle - 1
    else if (page >= endPage(run)) low = middle + 1
    else return placeIn(run, page)
  }
  return undefined
}

/** The page ranges below `pageCount` that the map does not have; a listed backup's maps have none. */
export function unmappedPages(
  map: PageMap,
  pageCount: number,
): { readonly startPage: number; readonly count: number }[] {
  const gaps: { startPage: number; count: number }[] = []
  let expected = 0
  for (const run of clipPageMap(map, pageCount)) {
    if (run.startPage > expected) gaps.push({ startPage: expected, count: run.startPage - expected })
    expected = endPage(run)
  }
  if (expected < pageCount) gaps.push({ startPage: expected, count: pageCount - expected })
  return gaps
}

/** The runs cut where records end, so that each lies within one record. */
export function* splitByRecord(map: PageMap): Generator<PageRun> {
  for (const run of map) {
    for (let page = run.startPage; page < endPage(run);) {
      const { slot } = placeIn(run, page)
      const end = Math.min(endPage(run), page + pagesPerRecord - slot)
      yield slice(run, page, end)
      page = end
    }
  }
}

/** The map with other pack numbers: for a manifest whose list of packs differs from the parent's. */
export function renumberPacks(map: PageMap, numberOf: (pack: number) => number): PageMap {
  return map.map((run) => ({ ...run, pack: numberOf(run.pack) }))
}

function endPage(run: PageRun): number {
  return run.startPage + run.count
}

/** Slots counted through all records of a pack: consecutive slots have consecutive positions. */
function position({ record, slot }: PageRun): number {
  return record * pagesPerRecord + slot
}

function continues(run: PageRun, next: PageRun): boolean {
  return endPage(run) === next.startPage && run.pack === next.pack && position(run) + run.count === position(next)
}

function placeIn(run: PageRun, page: number): PagePlace {
  const place = position(run) + page - run.startPage
  return { pack: run.pack, record: Math.floor(place / pagesPerRecord), slot: place % pagesPerRecord }
}

function slice(run: PageRun, fromPage: number, toPage: number): PageRun {
  return { startPage: fromPage, count: toPage - fromPage, ...placeIn(run, fromPage) }
}

function at(map: PageMap, index: number): PageRun {
  const run = map[index]
  if (run === undefined) throw new RangeError(`no run ${index}`)
  return run
}
