import { extname, join } from 'node:path'
import { Worker } from 'node:worker_threads'
import type { PackReference } from '../../repository/core/backup-facts.ts'
import { repositoryFaults } from '../../repository/faults.ts'
import type { Keyring } from '../../repository/keyring.ts'
import { diskFault } from '../../std/durable-file.ts'
import { endThread } from '../../std/end-thread.ts'
import { Fault } from '../../std/fault.ts'
import { callThread, threadLimits, workerFault } from '../call-thread.ts'
import type { PackJob } from '../core/pack-jobs.ts'
import { restoreFaults } from '../faults.ts'
import type { FromScatterWorker, ScatterOrder, ScatterWorkerData } from './scatter-protocol.ts'

export interface ScatterRequest {
  readonly keyring: Keyring
  readonly dataDirectory: string
  readonly pageBytes: number
  readonly packs: readonly PackReference[]
  readonly jobs: readonly PackJob[]
  /** How many threads decrypt and write; one more pack for each is fetched meanwhile. */
  readonly workers: number
  readonly fetch: (objectKey: string, signal: AbortSignal) => Promise<Uint8Array>
  readonly onWritten: (writtenBytes: number) => void
  readonly signal?: AbortSignal | undefined
}

/**
 * Fetches packs in order and has threads write what they hold into the files of a data directory. The first failure, or
 * the signal, ends all threads; when this rejects, nothing goes on behind the caller's back.
 */
export async function scatterPacks(request: ScatterRequest): Promise<void> {
  const stop = new AbortController()
  const signal = request.signal === undefined ? stop.signal : AbortSignal.any([stop.signal, request.signal])
  signal.throwIfAborted()
  const queue = request.jobs.values()
  const threadCount = Math.max(1, Math.min(request.workers, request.jobs.length))
  const threads = Array.from({ length: threadCount }, async () => {
    try {
      await runThread(request, queue, signal)
    } catch (error) {
      stop.abort(error)
    }
  })
  await Promise.all(threads)
  request.signal?.throwIfAborted()
  stop.signal.throwIfAborted()
}

async function runThread(
  request: ScatterRequest,
  queue: IterableIterator<PackJob>,
  signal: AbortSignal,
): Promise<void> {
  const data: ScatterWorkerData = {
    keyring: request.keyring,
    dataDirectory: request.dataDirectory,
    pageBytes: request.pageBytes,
  }
  // In the source tree this file ends in .ts, in the package in .js, and so does its neighbour.
  const entry = new URL(`./scatter-worker${extname(import.meta.url)}`, import.meta.url)
  const worker = new Worker(entry, { workerData: data, name: 'holdfast restore', resourceLimits: threadLimits })
  try {
    let writing: Promise<void> = Promise.resolve()
    for (const job of queue) {
      const order = await fetchPack(request, job, signal).catch(async (error: unknown) => {
        await writing.catch(() => undefined)
        throw error
      })
      await writing
      writing = write(request, worker, order, signal)
      // It is awaited above or below; until then a failure must not count as unhandled.
      writing.catch(() => undefined)
    }
    await writing
  } finally {
    await endThread(worker)
  }
}

async function fetchPack(request: ScatterRequest, job: PackJob, signal: AbortSignal): Promise<ScatterOrder> {
  const reference = request.packs[job.pack]
  if (reference === undefined) throw new Error(`the manifest has no pack ${job.pack}`)
  const fetched = await request.fetch(reference.key, signal)
  // Only bytes with a buffer of their own can be handed to another thread.
  const owned = fetched.byteLength === fetched.buffer.byteLength ? fetched : fetched.slice()
  return { objectKey: reference.key, bytes: owned, seal: reference, job }
}

async function write(request: ScatterRequest, worker: Worker, order: ScatterOrder, signal: AbortSignal): Promise<void> {
  const answer = await callThread<FromScatterWorker>(worker, order, [order.bytes.buffer as ArrayBuffer], signal)
  if (answer.kind === 'done') request.onWritten(answer.writtenBytes)
  else throw answerFault(request, answer)
}

function answerFault(request: ScatterRequest, answer: Exclude<FromScatterWorker, { kind: 'done' }>): unknown {
  if (answer.kind === 'fault') {
    const kind = Object.values(repositoryFaults).find(({ code }) => code === answer.code)
    if (kind === undefined) return workerFault(answer.message)
    return new Fault(kind, answer.message, { details: answer.details })
  }
  if (answer.code === '') return workerFault(answer.message)
  const path = join(request.dataDirectory, answer.path)
  const full = diskFault(Object.assign(new Error(answer.message), { code: answer.code }), path)
  if (full instanceof Fault) return full
  return new Fault(restoreFaults['restore-write-failed'], `Cannot write ${path}: ${answer.message}`, {
    details: { path, code: answer.code },
  })
}
