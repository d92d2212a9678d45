import { mkdtemp, open, rm } from 'node:fs/promises'
import type { FileHandle } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { diskFault } from '../std/durable-file.ts'

/** Where a program finds a file that was handed to it as its descriptor 3. */
export const handedFilePath = '/dev/fd/3'

/**
 * A file that is gone from its directory before anything is in it, to hand a password to a program that reads it from a
 * file only: not even a crash leaves it behind. Mode 0600, read from its beginning.
 */
export async function openNamelessFile(content: string): Promise<FileHandle> {
  const scratch = await mkdtemp(join(tmpdir(), 'holdfast-'))
  const path = join(scratch, 'secret')
  try {
    const file = await open(path, 'wx+', 0o600)
    try {
      await rm(path)
      await file.write(content, 0)
      return file
    } catch (error) {
      await file.close()
      throw diskFault(error, path)
    }
  } finally {
    await rm(scratch, { recursive: true, force: true })
  }
}
