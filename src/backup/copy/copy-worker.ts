import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { parentPort, workerData, type MessagePort } from 'node:worker_threads'
import { receiveUntilEnded } from '../../std/end-thread.ts'
import { packObject } from '../../repository/core/object-names.ts'
import type { RecordDescription } from '../../repository/core/record.ts'
import { createChunkHasher } from '../../repository/chunk-hash.ts'
import { createPackBuilder, type PackBuilder } from '../../repository/pack-builder.ts'
import { createChecksumKernel } from '../page/checksum-kernel.ts'
import { pageBytes } from '../page/checksum-page.ts'
import { readPart, recordPages } from '../page/read-part.ts'
import type {
  CopiedPart,
  CopyFigures,
  CopyWorkerData,
  FromCopyWorker,
  PartToCopy,
  RecordPlace,
  ToCopyWorker,
} from './copy-protocol.ts'

/**
 * A copying thread: reads parts of files, verifies their pages, and seals them into packs of 32 MiB, which it hands to
 * the main thread. It holds at most two packs that are not stored yet, so a slow store slows it down.
 */
const packBytes = 32 * 1024 * 1024
const maxPacksInFlight = 2
const rereadAfterMs = 100
const maxRereadWaits = 600

interface OpenedPack {
  readonly number: number
  readonly builder: PackBuilder
}

class CopyWorker {
  readonly #data: CopyWorkerData
  readonly #port: MessagePort
  readonly #kernel = createChecksumKernel(recordPages)
  readonly #changed = new ChangedPages()
  readonly #hash: ReturnType<typeof createChunkHasher>
  readonly #rereading = { wait: () => delay(rereadAfterMs), waitsLeft: maxRereadWaits }
  readonly #figures: { -readonly [Name in keyof CopyFigures]: number } = { readMs: 0, packMs: 0, waitMs: 0 }
  #pack: OpenedPack | undefined
  #packsInFlight = 0
  #slotFree: (() => void) | undefined
  /** Everything is done one after the other, in the order of the messages. */
  #work: Promise<void> = Promise.resolve()
  #current = ''

  constructor(data: CopyWorkerData, port: MessagePort) {
    this.#data = data
    this.#hash = createChunkHasher(data.chunkKey)
    this.#port = port
  }

  receive(message: ToCopyWorker): void {
    if (message.kind === 'stored') {
      this.#packsInFlight -= 1
      this.#slotFree?.()
      return
    }
    this.#work = this.#work
      .then(() => (message.kind === 'batch' ? this.#copyBatch(message.parts) : this.#finish()))
      .catch((error: unknown) => this.#fail(error))
  }

  async #copyBatch(parts: readonly PartToCopy[]): Promise<void> {
    const copied: CopiedPart[] = []
    for (const part of parts) copied.push(await this.#copyPart(part))
    this.#post({ kind: 'batch', parts: copied })
  }

  async #copyPart(part: PartToCopy): Promise<CopiedPart> {
    this.#current = part.path
    const started = performance.now()
    const packMsBefore = this.#figures.packMs
    const waitMsBefore = this.#figures.waitMs
    const records: RecordPlace[] = []
    const hashes: Uint8Array[] = []
    let offset = part.offset
    const fullPath = join(this.#data.dataDirectory, part.path)
    const outcome = await readPart({ ...part, fullPath }, this.#kernel, this.#rereading, async (bytes, selected) => {
      hashes.push(this.#hash(bytes))
      if (selected === undefined) {
        records.push(this.#add(describeAll(part, offset, bytes)))
        await this.#flushWhenFull()
      }
      for (const index of selected ?? []) {
        this.#changed.add(offset / pageBytes + index, bytes.subarray(index * pageBytes, (index + 1) * pageBytes))
        if (this.#changed.isFull) await this.#addChanged(part, records)
      }
      offset += bytes.length
    })
    await this.#addChanged(part, records)
    const elsewhere = this.#figures.packMs - packMsBefore + this.#figures.waitMs - waitMsBefore
    this.#figures.readMs += performance.now() - started - elsewhere
    const { file, lengthBytes: wantedBytes } = part
    return { file, offset: part.offset, wantedBytes, outcome, records, hashes: Buffer.concat(hashes) }
  }

  async #addChanged(part: PartToCopy, records: RecordPlace[]): Promise<void> {
    const { pages, plain } = this.#changed.take()
    if (pages.length === 0) return
    records.push({ ...this.#add({ type: 'scattered-pages', meta: { path: part.path, pages }, plain }), pages })
    await this.#flushWhenFull()
  }

  #add(content: RecordDescription & { readonly plain: Uint8Array }): RecordPlace {
    const started = performance.now()
    const pack = (this.#pack ??= this.#openPack())
    const record = pack.builder.add(content)
    this.#figures.packMs += performance.now() - started
    return { pack: pack.number, record }
  }

  #openPack(): OpenedPack {
    const number = Atomics.add(new Int32Array(this.#data.packCounter), 0, 1)
    const objectKey = packObject(this.#data.cluster, this.#data.backup, number)
    return { number, builder: createPackBuilder(this.#data.keyring, objectKey, this.#data) }
  }

  /** A pack is full when another record might not fit. */
  async #flushWhenFull(): Promise<void> {
    const room = packBytes - (this.#pack?.builder.sizeBytes ?? 0)
    if (room < recordPages * pageBytes + 1024) await this.#flush()
  }

  async #flush(): Promise<void> {
    const pack = this.#pack
    if (pack === undefined) return
    this.#pack = undefined
    const started = performance.now()
    const finished = pack.builder.finish()
    this.#figures.packMs += performance.now() - started
    await this.#waitForSlot()
    this.#packsInFlight += 1
    const { objectKey, bytes, sha256 } = finished
    this.#port.postMessage(
      { kind: 'pack', pack: { number: pack.number, objectKey, bytes, sha256 } } satisfies FromCopyWorker,
      [bytes.buffer as ArrayBuffer],
    )
  }

  async #waitForSlot(): Promise<void> {
    const started = performance.now()
    while (this.#packsInFlight >= maxPacksInFlight) {
      await new Promise<void>((resolve) => (this.#slotFree = resolve))
    }
    this.#figures.waitMs += performance.now() - started
  }

  async #finish(): Promise<void> {
    await this.#flush()
    this.#post({ kind: 'finished', figures: this.#figures })
    this.#port.close()
  }

  #fail(error: unknown): void {
    const code = error instanceof Error && 'code' in error ? String(error.code) : ''
    const message = error instanceof Error ? error.message : String(error)
    this.#post({ kind: 'failed', path: this.#current, code, message })
    this.#port.close()
  }

  #post(message: FromCopyWorker): void {
    this.#port.postMessage(message, [])
  }
}

function describeAll(
  part: PartToCopy,
  offset: number,
  plain: Uint8Array,
): RecordDescription & { readonly plain: Uint8Array } {
  const { path } = part
  if (part.kind === 'whole') return { type: 'file', meta: { path, offset }, plain }
  return { type: 'pages', meta: { path, firstPage: offset / pageBytes, pageCount: plain.length / pageBytes }, plain }
}

/** Gathers the changed pages of one part until they make a record. */
class ChangedPages {
  readonly #plain = new Uint8Array(recordPages * pageBytes)
  #pages: number[] = []

  get isFull(): boolean {
    return this.#pages.length === recordPages
  }

  add(page: number, bytes: Uint8Array): void {
    this.#plain.set(bytes, this.#pages.length * pageBytes)
    this.#pages.push(page)
  }

  /** The bytes are good until the next page is added. */
  take(): { readonly pages: readonly number[]; readonly plain: Uint8Array } {
    const pages = this.#pages
    this.#pages = []
    return { pages, plain: this.#plain.subarray(0, pages.length * pageBytes) }
  }
}

if (parentPort !== null) {
  const worker = new CopyWorker(workerData as CopyWorkerData, parentPort)
  receiveUntilEnded(parentPort, (message) => worker.receive(message as ToCopyWorker))
}
