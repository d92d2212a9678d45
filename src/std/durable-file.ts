import { open, rename, rm } from 'node:fs/promises'
import { dirname } from 'node:path'
import { Fault } from './fault.ts'
import { stdFaults } from './faults.ts'

/**
 * Replaces a file so that a crash leaves the old content or the new, never a part: temporary file beside it, fsync,
 * rename, fsync of the directory.
 */
export async function writeFileDurably(
  path: string,
  content: string | Uint8Array,
  options: { readonly mode?: number } = {},
): Promise<void> {
  const temporary = `${path}.tmp-${process.pid}`
  try {
    const file = await open(temporary, 'w', options.mode ?? 0o600)
    try {
      await file.writeFile(content)
      await file.sync()
    } finally {
      await file.close()
    }
    await rename(temporary, path)
  } catch (error) {
    await rm(temporary, { force: true })
    throw diskFault(error, path)
  }
  await syncDirectory(dirname(path))
}

/** Makes the entries of a directory durable: files created, renamed or removed in it. */
export async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, 'r')
  try {
    await directory.sync()
  } finally {
    await directory.close()
  }
}

/** The fault for a file-system error where a disk is full; any other error as it is. */
export function diskFault(error: unknown, path: string): unknown {
  const code = (error as NodeJS.ErrnoException | undefined)?.code
  if (code !== 'ENOSPC' && code !== 'EDQUOT') return error
  return new Fault(stdFaults['disk-full'], `Cannot write ${path}: no space left on its file system`, {
    cause: error,
    details: { path },
  })
}
