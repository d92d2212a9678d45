import { extname, join } from 'node:path'
import { Worker } from 'node:worker_threads'
import type { ManifestFile } from '../../repository/core/manifest.ts'
import { endThread } from '../../std/end-thread.ts'
import { Fault } from '../../std/fault.ts'
import { callThread, threadLimits } from '../call-thread.ts'
import type { ChunkRanges } from '../core/wanted-pieces.ts'
import type { Wanted } from '../core/wanted-pieces.ts'
import { restoreFaults } from '../faults.ts'
import type { CompareOrder, CompareWorkerData, FileToCompare, FromCompareWorker } from './compare-protocol.ts'

export interface CompareRequest {
  readonly dataDirectory: string
  /** Undefined where the backup has no hashes: then everything is wanted. */
  readonly chunkKey: string | undefined
  /** All files of the manifest; each is there with its size, whatever is in it. */
  readonly files: Iterable<ManifestFile>
  readonly workers: number
  readonly onCompared: (bytes: number) => void
  readonly signal?: AbortSignal | undefined
}

const batchBytes = 32 * 1024 * 1024
const batchFiles = 256

/**
 * Reads what is in a directory and finds out, by keyed hashes of all content, what is not as in the backup. Neither
 * times nor LSNs are trusted: pages of another timeline have the LSNs of this one, and what changed a file may have set
 * its times back. Gives what is wanted of each file, by its number in the manifest; files that are right are left out.
 */
export async function compareFiles(request: CompareRequest): Promise<ReadonlyMap<number, Wanted>> {
  const wanted = new Map<number, Wanted>()
  const batches = batchesOf(request, wanted)
  const { chunkKey } = request
  if (chunkKey === undefined) {
    for (const _ of batches) throw new Error('there are hashes, but no key')
    return wanted
  }
  const stop = new AbortController()
  const signal = request.signal === undefined ? stop.signal : AbortSignal.any([stop.signal, request.signal])
  signal.throwIfAborted()
  const threads = Array.from({ length: request.workers }, async () => {
    try {
      await runThread(request, { dataDirectory: request.dataDirectory, chunkKey }, batches, wanted, signal)
    } catch (error) {
      stop.abort(error)
    }
  })
  await Promise.all(threads)
  request.signal?.throwIfAborted()
  stop.signal.throwIfAborted()
  return wanted
}

async function runThread(
  request: CompareRequest,
  data: CompareWorkerData,
  batches: Generator<CompareOrder>,
  wanted: Map<number, Wanted>,
  signal: AbortSignal,
): Promise<void> {
  // In the source tree this file ends in .ts, in the package in .js, and so does its neighbour.
  const entry = new URL(`./compare-worker${extname(import.meta.url)}`, import.meta.url)
  const worker = new Worker(entry, { workerData: data, name: 'holdfast compare', resourceLimits: threadLimits })
  try {
    for (const order of batches) {
      signal.throwIfAborted()
      const answer = await callThread<FromCompareWorker>(worker, order, [], signal)
      if (answer.kind === 'failed') throw readFault(join(data.dataDirectory, answer.path), answer)
      for (const [index, file] of order.files.entries()) {
        const differing: ChunkRanges = answer.differing[index] ?? new Uint32Array()
        if (differing.length > 0) wanted.set(file.number, differing)
        request.onCompared(file.sizeBytes)
      }
    }
  } finally {
    await endThread(worker)
  }
}

/** What can be compared; what cannot is wanted whole. */
function* batchesOf(
  { files, onCompared, chunkKey }: CompareRequest,
  wanted: Map<number, Wanted>,
): Generator<CompareOrder> {
  let batch: FileToCompare[] = []
  let bytes = 0
  let number = -1
  for (const file of files) {
    number += 1
    if (file.kind === 'directory' || file.sizeBytes === 0) continue
    if (file.hashes === undefined || chunkKey === undefined) {
      wanted.set(number, 'all')
      onCompared(file.sizeBytes)
      continue
    }
    batch.push({ number, path: file.path, sizeBytes: file.sizeBytes, hashes: file.hashes })
    bytes += file.sizeBytes
    if (bytes < batchBytes && batch.length < batchFiles) continue
    yield { files: batch }
    batch = []
    bytes = 0
  }
  if (batch.length > 0) yield { files: batch }
}

function readFault(path: string, { code, message }: { readonly code: string; readonly message: string }): Fault {
  return new Fault(restoreFaults['restore-read-failed'], `Cannot compare ${path} with the backup: ${message}`, {
    details: { path, code },
  })
}
