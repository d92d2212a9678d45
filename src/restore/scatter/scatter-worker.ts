import { closeSync, openSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { parentPort, workerData } from 'node:worker_threads'
import { receiveUntilEnded } from '../../std/end-thread.ts'
import { splitByRecord } from '../../repository/core/page-map.ts'
import { releaseMemory } from '../../std/release-memory.ts'
import { objectFault } from '../../repository/damage.ts'
import { openPack } from '../../repository/pack-reader.ts'
import type { OpenPack } from '../../repository/pack-reader.ts'
import { Fault } from '../../std/fault.ts'
import { fileRowLength, pageRowLength } from '../core/pack-jobs.ts'
import type { FromScatterWorker, ScatterOrder, ScatterWorkerData } from './scatter-protocol.ts'

/**
 * A scattering thread: opens one pack after the other, which proves that it is whole and the right one, and writes what
 * it holds to its places in files that exist already with their full size.
 */
function scatter(data: ScatterWorkerData, order: ScatterOrder, files: OpenFiles): number {
  const pack = openPack(data.keyring, order.objectKey, order.bytes, order.seal)
  return writePages(data, order, pack, files) + writeFiles(order, pack, files)
}

function writePages({ pageBytes }: ScatterWorkerData, order: ScatterOrder, pack: OpenPack, files: OpenFiles): number {
  const { pageRows } = order.job
  let writtenBytes = 0
  let open: { readonly record: number; readonly plain: Uint8Array } | undefined
  for (let at = 0; at < pageRows.length; at += pageRowLength) {
    const [file = 0, firstRecord = 0, firstSlot = 0, count = 0, startPage = 0] = pageRows.subarray(
      at,
      at + pageRowLength,
    )
    const run = { startPage, count, pack: 0, record: firstRecord, slot: firstSlot }
    for (const { record, slot, count: slots, startPage: page } of splitByRecord([run])) {
      if (open?.record !== record) {
        const type = pack.records[record]?.type
        if (type !== 'pages' && type !== 'scattered-pages') throw unfit(order, record, 'pages of a relation')
        open = { record, plain: pack.readBriefly(record) }
      }
      const pages = open.plain.subarray(slot * pageBytes, (slot + slots) * pageBytes)
      if (pages.length !== slots * pageBytes) throw unfit(order, record, `${slots} pages from slot ${slot} on`)
      files.write(file, pages, page * pageBytes)
      writtenBytes += pages.length
    }
  }
  return writtenBytes
}

function writeFiles(order: ScatterOrder, pack: OpenPack, files: OpenFiles): number {
  const { fileRows } = order.job
  let writtenBytes = 0
  for (let at = 0; at < fileRows.length; at += fileRowLength) {
    const [file = 0, first = 0, count = 0] = fileRows.subarray(at, at + fileRowLength)
    for (let record = first; record < first + count; record += 1) {
      const description = pack.records[record]
      if (description?.type !== 'file') throw unfit(order, record, 'a part of a file')
      const plain = pack.readBriefly(record)
      files.write(file, plain, description.meta.offset)
      writtenBytes += plain.length
    }
  }
  return writtenBytes
}

function unfit(order: ScatterOrder, record: number, expected: string): Fault {
  return objectFault(order.objectKey, 'altered', `record ${record} does not hold ${expected}, as the manifest says`)
}

/** The files of one pack, opened when first written to. */
class OpenFiles implements Disposable {
  readonly #directory: string
  readonly #paths: readonly string[]
  readonly #descriptors = new Map<number, number>()
  readonly #limit = 256
  current = ''

  constructor(directory: string, paths: readonly string[]) {
    this.#directory = directory
    this.#paths = paths
  }

  write(file: number, bytes: Uint8Array, position: number): void {
    const descriptor = this.#open(file)
    for (let written = 0; written < bytes.length;) {
      written += writeSync(descriptor, bytes, written, bytes.length - written, position + written)
    }
  }

  #open(file: number): number {
    this.current = this.#paths[file] ?? ''
    const open = this.#descriptors.get(file)
    if (open !== undefined) return open
    if (this.#descriptors.size >= this.#limit) this[Symbol.dispose]()
    const descriptor = openSync(join(this.#directory, this.current), 'r+')
    this.#descriptors.set(file, descriptor)
    return descriptor
  }

  [Symbol.dispose](): void {
    for (const descriptor of this.#descriptors.values()) closeSync(descriptor)
    this.#descriptors.clear()
  }
}

function carryOut(data: ScatterWorkerData, order: ScatterOrder): FromScatterWorker {
  using files = new OpenFiles(data.dataDirectory, order.job.files)
  try {
    return { kind: 'done', writtenBytes: scatter(data, order, files) }
  } catch (error) {
    if (error instanceof Fault) {
      return { kind: 'fault', code: error.code, message: error.message, details: error.details }
    }
    const code = error instanceof Error && 'code' in error ? String(error.code) : ''
    return {
      kind: 'failed',
      path: files.current,
      code,
      message: error instanceof Error ? error.message : String(error),
    }
  } finally {
    releaseMemory(order.bytes)
  }
}

if (parentPort !== null) {
  const port = parentPort
  const data = workerData as ScatterWorkerData
  receiveUntilEnded(port, (order) => port.postMessage(carryOut(data, order as ScatterOrder)))
}
