import { open, type FileHandle } from 'node:fs/promises'
import { diskFault } from '../../std/durable-file.ts'

/** Writes files one after the other; each is made durable in the background while the next is written. */
export interface FileWriter {
  begin(path: string): void
  /** Copies the data; waits while the disk is behind. */
  append(data: Uint8Array): Promise<void>
  end(): Promise<void>
  /** Waits until every file is durable and closed; throws what went wrong with any. */
  drain(): Promise<void>
  /** Closes everything without waiting for durability, after a failure. */
  abandon(): Promise<void>
}

const batchBytes = 1024 * 1024
const maxSyncing = 16

interface CurrentFile {
  readonly path: string
  handle: FileHandle | undefined
  batch: Buffer
  filledBytes: number
  writtenBytes: number
}

/** Small files cost a batch of their own size only, and are opened, written and synced in one go in the background. */
const firstBatchBytes = 64 * 1024

export function createFileWriter(): FileWriter {
  const syncing = new Set<Promise<void>>()
  let current: CurrentFile | undefined
  let failure: { readonly error: unknown } | undefined

  function begin(path: string): void {
    current = { path, handle: undefined, batch: Buffer.allocUnsafe(firstBatchBytes), filledBytes: 0, writtenBytes: 0 }
  }

  async function append(data: Uint8Array): Promise<void> {
    const file = current!
    let offset = 0
    while (offset < data.length) {
      const taken = Math.min(data.length - offset, file.batch.length - file.filledBytes)
      file.batch.set(data.subarray(offset, offset + taken), file.filledBytes)
      file.filledBytes += taken
      offset += taken
      if (file.filledBytes < file.batch.length) continue
      await flush(file)
      if (file.batch.length < batchBytes) file.batch = Buffer.allocUnsafe(batchBytes)
    }
  }

  async function end(): Promise<void> {
    const file = current!
    current = undefined
    while (syncing.size >= maxSyncing) await Promise.race(syncing)
    if (failure !== undefined) {
      await file.handle?.close()
      throw failure.error
    }
    const work = finishFile(file)
      .catch((error: unknown) => {
        failure ??= { error }
      })
      .finally(() => syncing.delete(work))
    syncing.add(work)
  }

  async function drain(): Promise<void> {
    await Promise.all(syncing)
    if (failure !== undefined) throw failure.error
  }

  async function abandon(): Promise<void> {
    await Promise.all(syncing)
    await current?.handle?.close()
    current = undefined
  }

  return { begin, append, end, drain, abandon }
}

async function finishFile(file: CurrentFile): Promise<void> {
  try {
    await flush(file)
    await file.handle?.datasync()
  } catch (error) {
    throw diskFault(error, file.path)
  } finally {
    await file.handle?.close()
  }
}

async function flush(file: CurrentFile): Promise<void> {
  try {
    file.handle ??= await open(file.path, 'wx', 0o600)
    let offset = 0
    while (offset < file.filledBytes) {
      const length = file.filledBytes - offset
      const { bytesWritten } = await file.handle.write(file.batch, offset, length, file.writtenBytes)
      offset += bytesWritten
      file.writtenBytes += bytesWritten
    }
    file.filledBytes = 0
  } catch (error) {
    throw diskFault(error, file.path)
  }
}
