import { open, mkdir, readFile, readdir, rename, rm } from 'node:fs/promises'
import type { FileHandle } from 'node:fs/promises'
import { join } from 'node:path'
import { diskFault, syncDirectory } from '../std/durable-file.ts'

/**
 * Received WAL on its way into the repository: one file a segment. An unfinished one ends in `.partial`; it loses the
 * ending when it is whole and synced, so a file without it can be trusted after any crash.
 */
export interface Spool {
  /** Begins a segment anew. */
  begin(name: string): Promise<SpoolFile>
  /** What an earlier run left behind, oldest first. */
  leftovers(): Promise<readonly Leftover[]>
  /** Removes everything. */
  clear(): Promise<void>
}

export interface Leftover {
  readonly name: string
  readonly whole: boolean
  read(): Promise<Uint8Array>
  remove(): Promise<void>
}

export interface SpoolFile {
  append(data: Uint8Array): Promise<void>
  /** Bytes from one offset to another, all of them received before. */
  read(from: number, to: number): Promise<Uint8Array>
  /** The segment is whole: makes it durable under its name. */
  finish(): Promise<void>
  /** It is in the repository, or not wanted. */
  remove(): Promise<void>
  close(): Promise<void>
}

const partialEnding = '.partial'

export async function openSpool(directory: string): Promise<Spool> {
  await mkdir(directory, { recursive: true, mode: 0o700 })
  const remove = async (file: string): Promise<void> => rm(join(directory, file), { force: true })
  return {
    begin: (name) => beginFile(directory, name),
    leftovers: async () => {
      const files = (await readdir(directory)).filter((file) => /^[0-9A-F]{24}(\.partial)?$/.test(file)).toSorted()
      return files.map((file) => ({
        name: file.slice(0, 24),
        whole: !file.endsWith(partialEnding),
        read: () => readFile(join(directory, file)),
        remove: () => remove(file),
      }))
    },
    clear: async () => {
      for (const file of await readdir(directory)) await remove(file)
    },
  }
}

async function beginFile(directory: string, name: string): Promise<SpoolFile> {
  const path = join(directory, name)
  let handle: FileHandle
  try {
    handle = await open(path + partialEnding, 'w+', 0o600)
  } catch (error) {
    throw diskFault(error, path)
  }
  let sizeBytes = 0
  let closed = false
  const close = async (): Promise<void> => {
    if (closed) return
    closed = true
    await handle.close()
  }
  return {
    append: async (data) => {
      for (let written = 0; written < data.length;) {
        const { bytesWritten } = await handle
          .write(data, written, data.length - written, sizeBytes)
          .catch((error: unknown) => {
            throw diskFault(error, path)
          })
        written += bytesWritten
        sizeBytes += bytesWritten
      }
    },
    read: async (from, to) => {
      const bytes = Buffer.allocUnsafeSlow(to - from)
      for (let done = 0; done < bytes.length;) {
        const { bytesRead } = await handle.read(bytes, done, bytes.length - done, from + done)
        if (bytesRead === 0) throw new Error(`${path} is shorter than what was written to it`)
        done += bytesRead
      }
      return bytes
    },
    finish: async () => {
      await handle.sync().catch((error: unknown) => {
        throw diskFault(error, path)
      })
      await rename(path + partialEnding, path)
      await syncDirectory(directory)
    },
    remove: async () => {
      await close()
      await rm(path, { force: true })
      await rm(path + partialEnding, { force: true })
    },
    close,
  }
}
