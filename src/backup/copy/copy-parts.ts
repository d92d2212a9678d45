import { extname } from 'node:path'
import { Worker } from 'node:worker_threads'
import type { Keyring } from '../../repository/keyring.ts'
import { endThread } from '../../std/end-thread.ts'
import { Fault } from '../../std/fault.ts'
import { backupFaults } from '../faults.ts'
import type {
  ComparedPack,
  CopiedPart,
  CopyFigures,
  CopyWorkerData,
  FromCopyWorker,
  PackToStore,
  ToCopyWorker,
  Work,
} from './copy-protocol.ts'

export interface CopyRequest {
  readonly keyring: Keyring
  /** Of zstd; undefined: the default one. */
  readonly compressionLevel?: number | undefined
  readonly dataDirectory: string
  readonly cluster: string
  readonly backup: string
  /** For the hashes of what is copied. */
  readonly chunkKey: string
  /** What is to be done, asked for as threads come to it. */
  readonly work: AsyncIterator<Work, undefined>
  /** How many threads copy at most; none is started for which there is no work. */
  readonly workers: number
  /** Of the server, when its pages have checksums: how many blocks a segment file of a relation has. */
  readonly checkedBlocksPerSegment?: number | undefined
  /** Makes a pack durable. At most two packs a thread are under way. */
  readonly store: (pack: PackToStore, signal: AbortSignal) => Promise<void>
  readonly onCopied: (parts: readonly CopiedPart[]) => void
  readonly onCompared?: ((pack: ComparedPack) => void) | undefined
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
  const { keyring, dataDirectory, cluster, backup, chunkKey, compressionLevel, checkedBlocksPerSegment } = request
  const place = { keyring, dataDirectory, cluster, backup, chunkKey, compressionLevel, checkedBlocksPerSegment }
  const data: CopyWorkerData = { ...place, packCounter, packBytes: packBytesFor(request.workers) }
  const threads = Array.from({ length: request.workers }, async () => {
    try {
      const first = await request.work.next()
      return first.done === true ? undefined : await runThread(data, first.value, request, signal)
    } catch (error) {
      stop.abort(error)
      throw error
    }
  })
  const ended = await Promise.allSettled(threads)
  request.signal?.throwIfAborted()
  stop.signal.throwIfAborted()
  const figures = ended.flatMap((thread) => (thread.status === 'fulfilled' ? (thread.value ?? []) : []))
  return { packCount: new Int32Array(packCounter)[0] ?? 0, figures: sumFigures(figures) }
}

const largestPackBytes = 32 * 1024 * 1024
/** What all threads together have at most in memory for packs; each has two. */
const packMemoryBytes = 128 * 1024 * 1024

function packBytesFor(workers: number): number {
  return Math.min(largestPackBytes, Math.floor(packMemoryBytes / (2 * workers)))
}

async function runThread(
  data: CopyWorkerData,
  first: Work,
  request: CopyRequest,
  signal: AbortSignal,
): Promise<CopyFigures> {
  // In the source tree this file ends in .ts, in the package in .js, and so does its neighbour.
  const entry = new URL(`./copy-worker${extname(import.meta.url)}`, import.meta.url)
  const worker = new Worker(entry, {
    workerData: data,
    name: 'holdfast backup copy',
    resourceLimits: { maxYoungGenerationSizeMb: 8 },
  })
  const storing = new Set<Promise<void>>()
  let onAbort = (): void => {}
  let finished = false
  try {
    return await new Promise<CopyFigures>((resolve, reject) => {
      onAbort = () => reject(signal.reason)
      signal.addEventListener('abort', onAbort, { once: true })
      const send = (message: ToCopyWorker, transfer: readonly ArrayBuffer[] = []): void =>
        worker.postMessage(message, transfer)
      const sendWork = (work: Work): void => send(work, work.kind === 'takeover' ? [work.bytes.buffer] : [])
      let ending = false
      const sendNext = async (): Promise<void> => {
        const next = await request.work.next()
        if (next.done !== true) sendWork(next.value)
        else if (!ending) send({ kind: 'finish' })
        ending ||= next.done === true
      }
      const store = async (pack: PackToStore): Promise<void> => {
        await request.store(pack, signal)
        send({ kind: 'stored', memory: pack.bytes.buffer }, [pack.bytes.buffer])
      }
      worker.on('error', (cause) => reject(workerFault(cause.message, cause)))
      worker.on('exit', (code) => finished || reject(workerFault(`it ended with code ${code}`)))
      worker.on('message', (message: FromCopyWorker) => {
        switch (message.kind) {
          case 'batch':
            request.onCopied(message.parts)
            sendNext().catch(reject)
            return
          case 'takeover':
            request.onCompared?.(message.pack)
            sendNext().catch(reject)
            return
          case 'pack': {
            const stored = store(message.pack).catch(reject)
            storing.add(stored)
            void stored.then(() => storing.delete(stored))
            return
          }
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
      sendWork(first)
      // One more, so that the thread never waits for the next.
      sendNext().catch(reject)
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
