import { open, type FileHandle } from 'node:fs/promises'
import { diskFault } from '../../std/durable-file.ts'

/** Writes files one after the other, while what was written before goes to disk in the background. */
export interface FileWriter {
  begin(path: string): void
  /** Copies the data; waits while the disk is behind. */
  append(data: Uint8Array): Promise<void>
  end(): Promise<void>
  /** Waits until every file is durable and closed; throws what went wrong with any. */
  drain(): Promise<void>
  /** Waits until nothing is written any more and everything is closed, after a failure. */
  abandon(): Promise<void>
}

const batchBytes = 1024 * 1024
/** Most files of a cluster are smaller than this and cost one write. */
const smallBatchBytes = 64 * 1024
const maxWriting = 4
const maxSyncing = 16

interface OpenFile {
  readonly path: string
  /** Opened by the first write. */
  handle: Promise<FileHandle> | undefined
  batch: Buffer
  filledBytes: number
  handedOverBytes: number
  readonly writes: Promise<void>[]
}

export function createFileWriter(): FileWriter {
  const writing = new Set<Promise<void>>()
  const syncing = new Set<Promise<void>>()
  const spareBatches: Buffer[] = []
  let current: OpenFile | undefined
  let failure: { readonly error: unknown } | undefined

  /** Lets work go on in the background once fewer than `limit` others do; a failure is thrown at the next occasion. */
  async function background(others: Set<Promise<void>>, limit: number, work: () => Promise<void>): Promise<void> {
    while (others.size >= limit) await Promise.race(others)
    if (failure !== undefined) throw failure.error
    const running = work()
      .catch((error: unknown) => {
        failure ??= { error }
      })
      .finally(() => others.delete(running))
    others.add(running)
  }

  function begin(path: string): void {
    const batch = Buffer.allocUnsafe(smallBatchBytes)
    current = { path, handle: undefined, batch, filledBytes: 0, handedOverBytes: 0, writes: [] }
  }

  async function append(data: Uint8Array): Promise<void> {
    const file = current!
    for (let offset = 0; offset < data.length;) {
      const taken = Math.min(data.length - offset, file.batch.length - file.filledBytes)
      file.batch.set(data.subarray(offset, offset + taken), file.filledBytes)
      file.filledBytes += taken
      offset += taken
      if (file.filledBytes < file.batch.length) continue
      await handOver(file)
      file.batch = spareBatches.pop() ?? Buffer.allocUnsafe(batchBytes)
    }
  }

  async function handOver(file: OpenFile): Promise<void> {
    const { batch, filledBytes, handedOverBytes } = file
    file.handedOverBytes += filledBytes
    file.filledBytes = 0
    await background(writing, maxWriting, () => {
      const write = writeBatch(file, batch.subarray(0, filledBytes), handedOverBytes)
      file.writes.push(write)
      return write.finally(() => {
        if (batch.length === batchBytes) spareBatches.push(batch)
      })
    })
  }

  async function end(): Promise<void> {
    const file = current!
    if (file.filledBytes > 0 || file.handle === undefined) await handOver(file)
    await background(syncing, maxSyncing, () => finishFile(file))
    current = undefined
  }

  async function drain(): Promise<void> {
    await Promise.all([...writing, ...syncing])
    if (failure !== undefined) throw failure.error
  }

  async function abandon(): Promise<void> {
    await Promise.all([...writing, ...syncing])
    const handle = await current?.handle?.catch(() => undefined)
    await handle?.close()
    current = undefined
  }

  return { begin, append, end, drain, abandon }
}

async function writeBatch(file: OpenFile, batch: Buffer, position: number): Promise<void> {
  try {
    const handle = await (file.handle ??= open(file.path, 'wx', 0o600))
    for (let offset = 0; offset < batch.length;) {
      const { bytesWritten } = await handle.write(batch, offset, batch.length - offset, position + offset)
      offset += bytesWritten
    }
  } catch (error) {
    throw diskFault(error, file.path)
  }
}

async function finishFile(file: OpenFile): Promise<void> {
  const results = await Promise.allSettled(file.writes)
  const handle = await file.handle
  try {
    const failed = results.find((result) => result.status === 'rejected')
    if (failed !== undefined) throw failed.reason
    await handle?.datasync()
  } catch (error) {
    throw diskFault(error, file.path)
  } finally {
    await handle?.close()
  }
}
