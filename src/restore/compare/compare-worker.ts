import { closeSync, openSync, readSync } from 'node:fs'
import { join } from 'node:path'
import { parentPort, workerData } from 'node:worker_threads'
import { createChunkHasher } from '../../repository/chunk-hash.ts'
import { chunkBytes, chunkHashBytes } from '../../repository/core/chunks.ts'
import { receiveUntilEnded } from '../../std/end-thread.ts'
import type { CompareOrder, CompareWorkerData, FileToCompare, FromCompareWorker } from './compare-protocol.ts'

/** A comparing thread: reads files and finds the chunks that do not have the hash that they should have. */
const data = workerData as CompareWorkerData
const hash = createChunkHasher(data.chunkKey)
const buffer = new Uint8Array(chunkBytes)

function differingChunks(file: FileToCompare): Uint32Array {
  const expected = Buffer.from(file.hashes, 'base64')
  const ranges: number[] = []
  const descriptor = openSync(join(data.dataDirectory, file.path), 'r')
  try {
    for (let chunk = 0; chunk * chunkBytes < file.sizeBytes; chunk += 1) {
      const content = readChunk(
        descriptor,
        chunk * chunkBytes,
        Math.min(chunkBytes, file.sizeBytes - chunk * chunkBytes),
      )
      const wanted = expected.subarray(chunk * chunkHashBytes, (chunk + 1) * chunkHashBytes)
      if (content !== undefined && wanted.equals(hash(content))) continue
      const last = ranges.length - 2
      if (last >= 0 && (ranges[last] ?? 0) + (ranges[last + 1] ?? 0) === chunk) ranges[last + 1]! += 1
      else ranges.push(chunk, 1)
    }
  } finally {
    closeSync(descriptor)
  }
  return Uint32Array.from(ranges)
}

/** Undefined when the file ends before the chunk does. */
function readChunk(descriptor: number, position: number, length: number): Uint8Array | undefined {
  for (let done = 0; done < length;) {
    const count = readSync(descriptor, buffer, done, length - done, position + done)
    if (count === 0) return undefined
    done += count
  }
  return buffer.subarray(0, length)
}

function carryOut(order: CompareOrder): FromCompareWorker {
  let current = ''
  try {
    const differing = order.files.map((file) => {
      current = file.path
      return differingChunks(file)
    })
    return { kind: 'done', differing }
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : ''
    return { kind: 'failed', path: current, code, message: error instanceof Error ? error.message : String(error) }
  }
}

if (parentPort !== null) {
  const port = parentPort
  receiveUntilEnded(port, (order) => port.postMessage(carryOut(order as CompareOrder)))
}
