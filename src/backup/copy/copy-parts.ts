import { extname } from 'node:path'
import { Worker } from 'node:worker_threads'
import type { Keyring } from '../../repository/keyring.ts'
import { endThread } from '../../std/end-thread.ts'
import { Fault } from '../../std/fault.ts'
import { backupFaults } from '../faults.ts'
import type {
  CopiedPart,
  CopyFigures,
  CopyWorkerData,
  FromCopyWorker,
  PackToStore,
  PartToCopy,
  ToCopyWorker,
} from './copy-protocol.ts'

export interface CopyRequest {
  readonly keyring: Keyring
  readonly dataDirectory: string
  readonly cluster: string
  readonly backup: string
  /** For the hashes of what is copied. */
  readonly chunkKey: string
  readonly batches: readonly (readonly PartToCopy[])[]
  /** How many threads copy. */
  readonly workers: number
  /** Makes a pack durable. At most two packs a thread are under way. */
  readonly store: (pack: PackToStore, signal: AbortSignal) => Promise<void>
  readonly onCopied: (parts: readonly CopiedPart[]) => void
  readonly signal?: AbortSignal | undefined
}

export interface CopyResult {
  readonly packCount: number
  readonly figures: CopyFigures
}

/**
 * Copies parts of files into packs with several threads and resolves when every pack is stored. The first thing that
 * fails, or the signal, ends all threads; when this rejects, nothing goes on behind the caller's back.
 */
export async function copyParts(request: CopyRequest): Promise<CopyResult> {
  const packCounter = new SharedArrayBuffer(4)
  const stop = new AbortController()
  const signal = request.signal === undefined ? stop.signal : AbortSignal.any([stop.signal, request.signal])
  signal.throwIfAborted()
  const queue = request.batches.values()
  const data: CopyWorkerData = {
    keyring: request.keyring,
    dataDirectory: request.dataDirectory,
    cluster: request.cluster,
    backup: request.backup,
    chunkKey: request.chunkKey,
    packCounter,
  }
  const threadCount = Math.max(1, Math.min(request.workers, request.batches.length))
  const threads = Array.from({ length: threadCount }, async () => {
    try {
      return await runThread(data, queue, request, signal)
    } catch (error) {
      stop.abort(error)
      throw error
    }
  })
  const ended = await Promise.allSettled(threads)
  request.signal?.throwIfAborted()
  stop.signal.throwIfAborted()
  const figures = ended.flatMap((thread) => (thread.status === 'fulfilled' ? [thread.value] : []))
  return { packCount: new Int32Array(packCounter)[0] ?? 0, figures: sumFigures(figures) }
}

/** Batches that a thread has before it, so that it never waits for the next. */
const batchesAhead = 2

async function runThread(
  data: CopyWorkerData,
  queue: IterableIterator<readonly PartToCopy[]>,
  request: CopyRequest,
  signal: AbortSignal,
): Promise<CopyFigures> {
  // In the source tree this file ends in .ts, in the package in .js, and so does its neighbour.
  const entry = new URL(`./copy-worker${extname(import.meta.url)}`, import.meta.url)
  const worker = new Worker(entry, { workerData: data, name: 'holdfast backup copy' })
  const storing: Promise<void>[] = []
  let onAbort = (): void => {}
  let finished = false
  try {
    return await new Promise<CopyFigures>((resolve, reject) => {
      onAbort = () => reject(signal.reason)
      signal.addEventListener('abort', onAbort, { once: true })
      const send = (message: ToCopyWorker): void => worker.postMessage(message, [])
      const sendWork = (): void => {
        const next = queue.next()
        send(next.done === true ? { kind: 'finish' } : { kind: 'batch', parts: next.value })
      }
      worker.on('error', (cause) => reject(workerFault(cause.message, cause)))
      worker.on('exit', (code) => finished || reject(workerFault(`it ended with code ${code}`)))
      worker.on('message', (message: FromCopyWorker) => {
        switch (message.kind) {
          case 'batch':
            request.onCopied(message.parts)
            sendWork()
            return
          case 'pack':
            storing.push(request.store(message.pack, signal).then(() => send({ kind: 'stored' }), reject))
            return
          case 'finished':
            finished = true
            Promise.all(storing).then(() => resolve(message.figures), reject)
            return
          case 'failed':
            reject(copyFault(message))
            return
          default:
            message satisfies never
        }
      })
      for (let ahead = 0; ahead < batchesAhead; ahead++) sendWork()
    })
  } finally {
    signal.removeEventListener('abort', onAbort)
    await endThread(worker)
    await Promise.allSettled(storing)
  }
}

function copyFault(failed: Extract<FromCopyWorker, { kind: 'failed' }>): Fault {
  if (!/^E[A-Z0-9]+$/.test(failed.code)) return workerFault(failed.message)
  return new Fault(
    backupFaults['backup-file-unreadable'],
    `Cannot back up ${failed.path}: it cannot be read (${failed.message})`,
    { details: { path: failed.path, code: failed.code } },
  )
}

function workerFault(reason: string, cause?: unknown): Fault {
  return new Fault(backupFaults['backup-worker-failed'], `Cannot go on copying: a thread failed: ${reason}`, { cause })
}

function sumFigures(all: readonly CopyFigures[]): CopyFigures {
  const sum = (pick: (figures: CopyFigures) => number): number =>
    Math.round(all.reduce((total, each) => total + pick(each), 0))
  return { readMs: sum((each) => each.readMs), packMs: sum((each) => each.packMs), waitMs: sum((each) => each.waitMs) }
}
