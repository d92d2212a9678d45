import { copyFile, open, rename, rm, writeFile } from 'node:fs/promises'
import { diskFault } from '../../std/durable-file.ts'

/**
 * Puts a file where PostgreSQL wants it, whole or not at all: beside it first, synced, then renamed. Never a hard link:
 * PostgreSQL recycles the file and writes into it. What is moved has to be synced. That the name itself survives a crash is
 * not waited for: PostgreSQL asks again then, and syncs the directory when it keeps the file.
 */
export async function placeFile(path: string, content: Uint8Array | { readonly moveFrom: string }): Promise<void> {
  const temporary = `${path}.holdfast`
  try {
    if ('moveFrom' in content) {
      if (await moved(content.moveFrom, path)) return
      await copyFile(content.moveFrom, temporary)
      await rm(content.moveFrom, { force: true })
    } else {
      await writeFile(temporary, content, { mode: 0o600 })
    }
    await syncFile(temporary)
    await rename(temporary, path)
  } catch (error) {
    await rm(temporary, { force: true })
    throw diskFault(error, path)
  }
}

/** False when the two places are on different file systems. */
async function moved(from: string, to: string): Promise<boolean> {
  try {
    await rename(from, to)
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EXDEV') return false
    throw error
  }
}

export async function syncFile(path: string): Promise<void> {
  await using file = await open(path, 'r+')
  await file.sync()
}
