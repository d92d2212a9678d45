import { extname } from 'node:path'
import { Worker } from 'node:worker_threads'
import { endThread } from '../std/end-thread.ts'
import { Fault, type FaultDetails } from '../std/fault.ts'
import { repositoryFaults } from './faults.ts'
import type { WalPlace, WalSealing } from './wal-pack.ts'

/**
 * Threads that compress and seal whole segments, and open them: with one thread zstd alone would decide how fast WAL goes
 * into the repository and comes out of it. Each does one thing at a time; the rest waits in order.
 */
export interface WalThreads extends AsyncDisposable {
  /** `bytes` is given away and comes back as `plain`: to copy a segment costs as much as to encrypt it. */
  seal(object: string, place: WalPlace, bytes: Uint8Array): Promise<{ sealed: Uint8Array; plain: Uint8Array }>
  /** `bytes` is given away. */
  open(object: string, bytes: Uint8Array, type: 'wal' | 'history' | undefined): Promise<Uint8Array>
}

export type ToWalWorker =
  | { readonly kind: 'seal'; readonly object: string; readonly place: WalPlace; readonly bytes: Uint8Array }
  | {
      readonly kind: 'open'
      readonly object: string
      readonly type: 'wal' | 'history' | undefined
      readonly bytes: Uint8Array
    }

export type FromWalWorker =
  | { readonly kind: 'done'; readonly bytes: Uint8Array; readonly plain: Uint8Array }
  | { readonly kind: 'fault'; readonly code: string; readonly message: string; readonly details: FaultDetails }

interface Task {
  readonly message: ToWalWorker
  readonly resolve: (done: Extract<FromWalWorker, { kind: 'done' }>) => void
  readonly reject: (error: unknown) => void
}

export function startWalThreads({ keyring, compressionLevel }: WalSealing, count: number): WalThreads {
  const sealing: WalSealing = { keyring, compressionLevel }
  const waiting: Task[] = []
  const threads = new Set<Worker>()
  const idle: Worker[] = []
  const running = new Map<Worker, Task>()
  let closed = false
  const next = (): void => {
    if (waiting.length === 0) return
    const worker = idle.pop() ?? (threads.size < count ? start() : undefined)
    const task = worker === undefined ? undefined : waiting.shift()
    if (worker === undefined || task === undefined) return
    running.set(worker, task)
    // Whoever waits for a task keeps the process alive; an idle thread does not.
    worker.ref()
    const { bytes } = task.message
    // Of a part of a larger buffer only a copy can be given.
    const owned = bytes.byteLength === bytes.buffer.byteLength
    worker.postMessage(task.message, owned ? [bytes.buffer as ArrayBuffer] : [])
  }
  const start = (): Worker => {
    // In the source tree this file ends in .ts, in the package in .js, and so does its neighbour.
    const entry = new URL(`./wal-worker${extname(import.meta.url)}`, import.meta.url)
    const worker = new Worker(entry, { workerData: sealing, name: 'holdfast wal' })
    threads.add(worker)
    worker.on('message', (answer: FromWalWorker) => {
      const task = running.get(worker)
      running.delete(worker)
      worker.unref()
      idle.push(worker)
      if (answer.kind === 'done') task?.resolve(answer)
      else task?.reject(faultOf(answer))
      next()
    })
    const lost = (reason: string, cause?: unknown): void => {
      threads.delete(worker)
      running.get(worker)?.reject(threadFault(reason, cause))
      running.delete(worker)
      if (idle.includes(worker)) idle.splice(idle.indexOf(worker), 1)
      if (!closed) next()
    }
    worker.on('error', (error) => lost(error.message, error))
    worker.on('exit', (code) => lost(`it ended with code ${code}`))
    return worker
  }
  const run = (message: ToWalWorker): Promise<Extract<FromWalWorker, { kind: 'done' }>> =>
    new Promise((resolve, reject) => {
      if (closed) return reject(threadFault('they are closed'))
      waiting.push({ message, resolve, reject })
      next()
    })
  return {
    seal: async (object, place, bytes) => {
      const { bytes: sealed, plain } = await run({ kind: 'seal', object, place, bytes })
      return { sealed, plain }
    },
    open: async (object, bytes, type) => (await run({ kind: 'open', object, type, bytes })).bytes,
    [Symbol.asyncDispose]: async () => {
      closed = true
      for (const task of waiting.splice(0)) task.reject(threadFault('they are closed'))
      await Promise.all([...threads].map(endThread))
    },
  }
}

function faultOf({ code, message, details }: Extract<FromWalWorker, { kind: 'fault' }>): Fault {
  const kind = Object.values(repositoryFaults).find((candidate) => candidate.code === code)
  return kind === undefined ? threadFault(message) : new Fault(kind, message, { details })
}

function threadFault(reason: string, cause?: unknown): Fault {
  return new Fault(repositoryFaults['repository-thread-failed'], `Cannot handle WAL: a thread failed: ${reason}`, {
    cause,
  })
}
