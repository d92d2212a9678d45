import type { Keyring } from '../../repository/keyring.ts'
import type { FilePart } from '../core/split-work.ts'
import type { PartOutcome } from '../page/read-part.ts'
import type { TakenPack } from '../core/taken-over.ts'
import type { EarlierPages } from '../core/select-pages.ts'

/** What a copying thread is started with. */
export interface CopyWorkerData {
  readonly keyring: Keyring
  readonly compressionLevel: number | undefined
  readonly dataDirectory: string
  readonly cluster: string
  readonly backup: string
  /** For the hashes of what is copied. */
  readonly chunkKey: string
  /** One 32-bit number shared by all threads: how many packs were begun. */
  readonly packCounter: SharedArrayBuffer
  /** How big packs become, about. */
  readonly packBytes: number
  /** Of the server, when its pages have checksums: how many blocks a segment file of a relation has. */
  readonly checkedBlocksPerSegment: number | undefined
}

/** A part of a file as a thread is asked for it. */
export interface PartToCopy extends FilePart {
  /** Relative to the data directory. */
  readonly path: string
  /** Whether its records can later be shared page by page, or hold a file that is always stored whole. */
  readonly kind: 'page' | 'whole'
  readonly firstBlock: number | undefined
  /** Of a `page` file of which only the pages that changed are to be copied. */
  readonly earlier?: EarlierPages | undefined
}

export type Work =
  | { readonly kind: 'batch'; readonly parts: readonly PartToCopy[] }
  /** A pack of a backup that did not come to its end: which of it is still like that in the data directory? */
  | { readonly kind: 'takeover'; readonly objectKey: string; readonly bytes: Uint8Array<ArrayBuffer> }

export type ToCopyWorker =
  | Work
  /** One of the packs that it gave is durable; here is its memory back. */
  | { readonly kind: 'stored'; readonly memory: ArrayBuffer }
  /** There is no more work: give the last pack and end. */
  | { readonly kind: 'finish' }

export type FromCopyWorker =
  | { readonly kind: 'batch'; readonly parts: readonly CopiedPart[] }
  | { readonly kind: 'pack'; readonly pack: PackToStore }
  | { readonly kind: 'takeover'; readonly pack: ComparedPack }
  | { readonly kind: 'finished'; readonly figures: CopyFigures }
  /** It cannot go on; nothing else will come. */
  | { readonly kind: 'failed'; readonly path: string; readonly code: string; readonly message: string }

export interface PackToStore {
  /** From 0, without holes when all is done. */
  readonly number: number
  readonly objectKey: string
  readonly bytes: Uint8Array<ArrayBuffer>
  readonly sha256: string
}

/** A pack that may be taken over, with its own hash, and what of it may be used. */
export interface ComparedPack {
  readonly objectKey: string
  readonly sha256: string
  readonly sizeBytes: number
  /** Undefined when the pack is damaged. */
  readonly taken: TakenPack | undefined
}

/** A part as it was copied: record n of the list holds the n-th 256 KiB of it, or the pages that it names. */
export interface CopiedPart {
  readonly file: number
  readonly offset: number
  /** How much of the file was asked for. */
  readonly wantedBytes: number
  readonly outcome: PartOutcome
  readonly records: readonly RecordPlace[]
  /** Of all 256 KiB chunks of the part as it was read, one behind the other. */
  readonly hashes: Uint8Array
}

export interface RecordPlace {
  readonly pack: number
  readonly record: number
  /** Of a part of which only the changed pages were copied: which pages of the file these are, slot by slot. */
  readonly pages?: readonly number[]
}

/** Where the time of copying went, in thread-milliseconds. */
export interface CopyFigures {
  /** Reading and verifying pages. */
  readonly readMs: number
  /** Compressing, encrypting and hashing. */
  readonly packMs: number
  /** Waiting for the store. */
  readonly waitMs: number
}
