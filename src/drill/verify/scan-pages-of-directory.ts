import { open, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { firstBlockOf, parseRelationFile } from '../../backup/core/relation-file.ts'
import { createChecksumKernel, type ChecksumKernel } from '../../backup/page/checksum-kernel.ts'
import { pageBytes } from '../../backup/page/checksum-page.ts'
import { scanPages } from '../../backup/page/scan-pages.ts'

export interface BadPage {
  /** Of the file, relative to the data directory. */
  readonly path: string
  /** Within its fork. */
  readonly block: number
}

export interface PageScan {
  readonly files: number
  readonly pages: number
  readonly bad: readonly BadPage[]
}

const pagesAtOnce = 256

/**
 * Verifies the checksum of every page of every relation of a data directory on which no server runs, all forks, all
 * tablespaces. A file whose size is no multiple of a page has a bad last block.
 */
export async function scanPagesOfDirectory(
  dataDirectory: string,
  options: {
    readonly blocksPerSegment: number
    readonly signal?: AbortSignal | undefined
    readonly onBytes?: ((bytes: number) => void) | undefined
  },
): Promise<PageScan> {
  const kernel = createChecksumKernel(pagesAtOnce)
  const bad: BadPage[] = []
  let [files, pages] = [0, 0]
  for await (const path of relationFiles(dataDirectory)) {
    const file = parseRelationFile(path)
    if (file === undefined || file.temporary) continue
    options.signal?.throwIfAborted()
    const firstBlock = firstBlockOf(file, options.blocksPerSegment)
    files += 1
    pages += await scanFile(join(dataDirectory, path), kernel, firstBlock, (block) => bad.push({ path, block }))
    options.onBytes?.(pages * pageBytes)
  }
  return { files, pages, bad }
}

async function* relationFiles(dataDirectory: string): AsyncGenerator<string> {
  const below = async function* (path: string): AsyncGenerator<string> {
    const names = await readdir(join(dataDirectory, path)).catch(nothingThere)
    for (const name of names) yield `${path}/${name}`
  }
  yield* below('global')
  for await (const database of below('base')) yield* below(database)
  for await (const tablespace of below('pg_tblspc')) {
    for await (const version of below(tablespace)) for await (const database of below(version)) yield* below(database)
  }
}

/** A file among the directories; anything else that cannot be listed must not pass for empty. */
function nothingThere(error: NodeJS.ErrnoException): readonly string[] {
  if (error.code === 'ENOTDIR') return []
  throw error
}

async function scanFile(
  path: string,
  kernel: ChecksumKernel,
  firstBlock: number,
  onBad: (block: number) => void,
): Promise<number> {
  await using file = await open(path, 'r')
  let pages = 0
  for (;;) {
    const filled = await fill(file, kernel.pages, pages * pageBytes)
    const count = Math.floor(filled / pageBytes)
    if (count > 0) {
      const expected = kernel.checksums(count, firstBlock + pages)
      for (const index of scanPages(kernel.pages, expected)) onBad(firstBlock + pages + index)
      pages += count
    }
    if (filled % pageBytes !== 0) onBad(firstBlock + pages)
    if (filled < kernel.pages.length) return pages
  }
}

async function fill(
  file: Awaited<ReturnType<typeof open>>,
  buffer: Uint8Array<ArrayBuffer>,
  position: number,
): Promise<number> {
  for (let filled = 0; ;) {
    const { bytesRead } = await file.read(buffer, filled, buffer.length - filled, position + filled)
    filled += bytesRead
    if (bytesRead === 0 || filled === buffer.length) return filled
  }
}
