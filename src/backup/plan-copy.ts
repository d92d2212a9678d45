import type { FilePart as ManifestFilePart, WholeFile } from '../repository/core/manifest.ts'
import { type PageMap, unmappedPages } from '../repository/core/page-map.ts'
import type { EpochMs } from '../std/clock.ts'
import type { PartToCopy } from './copy/copy-protocol.ts'
import { shareFile } from './core/assemble-files.ts'
import { firstBlockOf, parseRelationFile } from './core/relation-file.ts'
import type { EarlierPages } from './core/select-pages.ts'
import type { FileNow, Sharing } from './core/share-files.ts'
import { Batching, cutRange, defaultSplitLimits, type FilePart } from './core/split-work.ts'
import type { FileEntries } from './file-entries.ts'
import type { ListedEntry, ListedFile } from './list-data-directory.ts'
import { pageBytes } from './page/checksum-page.ts'
import type { ServerFacts } from './server-session.ts'

export interface CopyPlanner {
  readonly server: Pick<ServerFacts, 'pageChecksums' | 'blocksPerSegment'>
  readonly entries: FileEntries
  readonly share: (file: FileNow) => Sharing
  /** What backups that died have copied, by pack of this backup. */
  readonly takenPages: (path: string, pageCount: number) => PageMap
  readonly takenWhole: (path: string, sizeBytes: number) => readonly ManifestFilePart[] | undefined
  readonly parentPack: (pack: number) => number
  /** Whether a later write to a file that was changed then is sure to change its times. */
  readonly settled: (changedMs: number) => boolean
  /** Told how much need not be read, since the repository has it: from the parent, or from a backup that died. */
  readonly onKept: (bytes: number, from: 'parent' | 'dead') => void
  readonly onSkipped: (path: string) => void
}

/** Goes through what was listed and gives what is to be read, in batches; what is in the repository already is not. */
export async function* planCopy(
  listing: AsyncIterable<readonly ListedEntry[]>,
  planner: CopyPlanner,
): AsyncGenerator<readonly PartToCopy[], undefined> {
  const batching = new Batching<PartToCopy>()
  for await (const piece of listing) {
    for (const entry of piece) {
      if (entry.kind === 'skipped') planner.onSkipped(entry.path)
      else if (entry.kind === 'directory') planner.entries.addDirectory(entry)
      else {
        for (const part of planFile(entry, planner)) {
          const full = batching.add(part)
          if (full !== undefined) yield full
        }
      }
    }
  }
  const rest = batching.take()
  if (rest.length > 0) yield rest
  return undefined
}

/** Free-space and visibility maps are stored whole, but their pages have checksums as well. */
function planFile(listed: ListedFile, planner: CopyPlanner): PartToCopy[] {
  const { path, sizeBytes } = listed
  const relation = parseRelationFile(path)
  const isPaged = relation?.fork === 'main' || relation?.fork === 'init'
  const kind = isPaged && sizeBytes % pageBytes === 0 ? 'page' : 'whole'
  const sharing = planner.share({ ...listed, kind })
  if (sharing.kind === 'all') {
    planner.entries.addComplete(shareFile(sharing.file, listed.mode, planner.parentPack))
    planner.onKept(sizeBytes, 'parent')
    return []
  }
  const wholeParts = kind === 'whole' ? planner.takenWhole(path, sizeBytes) : undefined
  if (wholeParts !== undefined) {
    planner.entries.addComplete({ ...describeFile(listed), kind: 'whole', parts: wholeParts })
    planner.onKept(sizeBytes, 'dead')
    return []
  }
  const { server } = planner
  const takenMap = kind === 'page' ? planner.takenPages(path, sizeBytes / pageBytes) : []
  const parts = partsToRead(sizeBytes, sharing.kind === 'pages' ? [] : takenMap)
  if (takenMap.length > 0) planner.onKept(sizeBytes - parts.reduce((sum, part) => sum + part.lengthBytes, 0), 'dead')
  const file = planner.entries.announce({
    listed,
    kind,
    firstBlock:
      relation !== undefined && server.pageChecksums ? firstBlockOf(relation, server.blocksPerSegment) : undefined,
    // The times of a file tell what it was when it was listed; what was taken over may have been read before.
    identity: takenMap.length === 0 && planner.settled(listed.changedMs) ? listed.identity : undefined,
    parentMap: sharing.kind === 'pages' ? sharing.file.map : undefined,
    takenMap: takenMap.length === 0 ? undefined : takenMap,
    partCount: parts.length,
  })
  return parts.map((part): PartToCopy => {
    const earlier = sharing.kind === 'pages' ? withTaken(sharing.earlier, takenMap, part) : undefined
    return { ...part, file: file.number, path, kind, firstBlock: file.firstBlock, earlier }
  })
}

function describeFile({ path, sizeBytes, mode, modifiedMs }: ListedFile): Omit<WholeFile, 'kind' | 'parts'> {
  return { path, sizeBytes, mode, modifiedAt: Math.trunc(modifiedMs) as EpochMs }
}

/** All of a file but the pages that a map has. */
function partsToRead(sizeBytes: number, takenMap: PageMap): FilePart[] {
  if (takenMap.length === 0) return cutRange(0, 0, sizeBytes, defaultSplitLimits)
  return unmappedPages(takenMap, sizeBytes / pageBytes).flatMap(({ startPage, count }) =>
    cutRange(0, startPage * pageBytes, (startPage + count) * pageBytes, defaultSplitLimits),
  )
}

/** What the thread that reads this part is to know of the pages that were taken over. */
function withTaken(earlier: EarlierPages, takenMap: PageMap, { offset, lengthBytes }: FilePart): EarlierPages {
  const [from, to] = [offset / pageBytes, (offset + lengthBytes) / pageBytes]
  const taken = new Set<number>()
  for (const { startPage, count } of takenMap) {
    for (let page = Math.max(from, startPage); page < Math.min(to, startPage + count); page++) taken.add(page)
  }
  return taken.size === 0 ? earlier : { ...earlier, taken }
}
