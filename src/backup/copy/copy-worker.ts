import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { parentPort, workerData, type MessagePort } from 'node:worker_threads'
import { receiveUntilEnded } from '../../std/end-thread.ts'
import { packObject } from '../../repository/core/object-names.ts'
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
    let offset = part.offset
    const fullPath = join(this.#data.dataDirectory, part.path)
    const outcome = await readPart({ ...part, fullPath }, this.#kernel, this.#rereading, async (bytes) => {
      records.push(this.#add(part, offset, bytes))
      offset += bytes.length
      await this.#flushWhenFull()
    })
    const elsewhere = this.#figures.packMs - packMsBefore + this.#figures.waitMs - waitMsBefore
    this.#figures.readMs += performance.now() - started - elsewhere
    return { file: part.file, offset: part.offset, wantedBytes: part.lengthBytes, outcome, records }
  }

  #add(part: PartToCopy, offset: number, plain: Uint8Array): RecordPlace {
    const started = performance.now()
    const pack = (this.#pack ??= this.#openPack())
    const record = pack.builder.add(
      part.kind === 'page'
        ? {
            type: 'pages',
            meta: { path: part.path, firstPage: offset / pageBytes, pageCount: plain.length / pageBytes },
            plain,
          }
        : { type: 'file', meta: { path: part.path, offset }, plain },
    )
    this.#figures.packMs += performance.now() - started
    return { pack: pack.number, record }
  }

  #openPack(): OpenedPack {
    const number = Atomics.add(new Int32Array(this.#data.packCounter), 0, 1)
    const objectKey = packObject(this.#data.cluster, this.#data.backup, number)
    return { number, builder: createPackBuilder(this.#data.keyring, objectKey) }
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

if (parentPort !== null) {
  const worker = new CopyWorker(workerData as CopyWorkerData, parentPort)
  receiveUntilEnded(parentPort, (message) => worker.receive(message as ToCopyWorker))
}
