import { closeSync, openSync, readSync } from 'node:fs'
import type { FilePart } from '../core/split-work.ts'
import { isGone } from '../list-data-directory.ts'
import type { ChecksumKernel } from './checksum-kernel.ts'
import { pageBytes } from './checksum-page.ts'
import { scanPages } from './scan-pages.ts'
import { type EarlierPages, selectPages } from '../core/select-pages.ts'

/** Pages of one record: 256 KiB. The kernel given to {@link readPart} has room for exactly these. */
export const recordPages = 32

export interface PartToRead extends FilePart {
  readonly fullPath: string
  /** `page` files give whole pages only, also when they shrink while they are read. */
  readonly kind: 'page' | 'whole'
  /** Block number, within the fork, of the first page of the file whose checksums are to be verified. */
  readonly firstBlock: number | undefined
  /** Of a `page` file of which only the pages that changed are wanted. */
  readonly earlier?: EarlierPages | undefined
}

/** Gets the bytes of a record, and which of the pages in it are wanted: all of them, or those with these places. */
export type EmitRecord = (bytes: Uint8Array, selected: readonly number[] | undefined) => Promise<void>

export type PartOutcome =
  /** The file does not exist any more. */
  | { readonly kind: 'gone' }
  /** `lengthBytes` is less than asked for when the file has become shorter. */
  | {
      readonly kind: 'read'
      readonly lengthBytes: number
      /** Blocks, counted within the fork, whose checksum failed twice. */
      readonly suspects: readonly number[]
      /** Pages that were fine when read again. */
      readonly healed: number
    }

/** How long to wait before a page is read again, and how many waits one worker may spend: rotten media have no end. */
export interface Rereading {
  readonly wait: () => Promise<void>
  waitsLeft: number
}

/**
 * Reads one part of a file in records of 256 KiB and hands each to `emit`, which must be done with the bytes when it
 * resolves. Verifies page checksums on the way; a page that fails is read again a moment later, because the server may
 * be writing it, and reported when it fails still.
 */
export async function readPart(
  part: PartToRead,
  kernel: ChecksumKernel,
  rereading: Rereading,
  emit: EmitRecord,
): Promise<PartOutcome> {
  const descriptor = openUnlessGone(part.fullPath)
  if (descriptor === undefined) return { kind: 'gone' }
  try {
    return await readOpened(descriptor, part, { kernel, rereading, emit })
  } finally {
    closeSync(descriptor)
  }
}

interface Reading {
  readonly kernel: ChecksumKernel
  readonly rereading: Rereading
  readonly emit: EmitRecord
}

async function readOpened(descriptor: number, part: PartToRead, reading: Reading): Promise<PartOutcome> {
  const suspects: number[] = []
  let healed = 0
  let done = 0
  while (done < part.lengthBytes) {
    const wanted = Math.min(recordPages * pageBytes, part.lengthBytes - done)
    const position = part.offset + done
    const got = readFully(descriptor, reading.kernel.pages.subarray(0, wanted), position)
    let kept = part.kind === 'page' ? got - (got % pageBytes) : got
    let doubtful: readonly number[] = []
    if (part.firstBlock !== undefined) {
      const firstBlock = part.firstBlock + position / pageBytes
      const verified = await verify(descriptor, position, kept, firstBlock, reading)
      kept = verified.keptBytes
      healed += verified.healed
      suspects.push(...verified.suspects)
      doubtful = verified.suspects.map((block) => block - firstBlock)
    }
    const bytes = reading.kernel.pages.subarray(0, kept)
    if (kept > 0) await reading.emit(bytes, selectOf(part, bytes, position / pageBytes, doubtful))
    done += kept
    if (kept < wanted) break
  }
  return { kind: 'read', lengthBytes: done, suspects, healed }
}

/** A page whose checksum failed is wanted, whatever its LSN seems to be. */
function selectOf(
  { earlier }: PartToRead,
  bytes: Uint8Array,
  firstPage: number,
  doubtful: readonly number[],
): readonly number[] | undefined {
  if (earlier === undefined) return undefined
  const selected = selectPages(bytes, firstPage, earlier)
  if (doubtful.length === 0) return selected
  return [...new Set([...selected, ...doubtful])].toSorted((a, b) => a - b)
}

interface Verified {
  readonly keptBytes: number
  readonly suspects: readonly number[]
  readonly healed: number
}

async function verify(
  descriptor: number,
  position: number,
  bytes: number,
  firstBlock: number,
  reading: Reading,
): Promise<Verified> {
  let keptBytes = bytes
  const scan = (): number[] => {
    const expected = reading.kernel.checksums(Math.floor(keptBytes / pageBytes), firstBlock)
    return scanPages(reading.kernel.pages, expected)
  }
  const first = scan()
  if (first.length === 0) return { keptBytes, suspects: [], healed: 0 }
  if (reading.rereading.waitsLeft > 0) {
    reading.rereading.waitsLeft -= 1
    await reading.rereading.wait()
  }
  for (const index of first) {
    const at = index * pageBytes
    const page = reading.kernel.pages.subarray(at, at + pageBytes)
    if (readFully(descriptor, page, position + at) === pageBytes) continue
    // Truncated meanwhile: whatever follows is gone for replay, too.
    keptBytes = at
    break
  }
  const suspects = scan().map((index) => firstBlock + index)
  const reread = first.filter((index) => index * pageBytes < keptBytes)
  return { keptBytes, suspects, healed: reread.length - suspects.length }
}

function openUnlessGone(path: string): number | undefined {
  try {
    return openSync(path, 'r')
  } catch (error) {
    if (isGone(error)) return undefined
    throw error
  }
}

/** Fills `target` from `position`; fewer bytes only where the file ends. */
function readFully(descriptor: number, target: Uint8Array, position: number): number {
  let done = 0
  while (done < target.length) {
    const count = readSync(descriptor, target, done, target.length - done, position + done)
    if (count === 0) break
    done += count
  }
  return done
}
