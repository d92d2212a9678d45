import { readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { controlFilePath } from './core/content-rules.ts'
import { fileIdentity } from './list-data-directory.ts'

/**
 * A text that is the same as long as the data directory is: not restored, cloned or moved, and the machine not started
 * again (a crash may lose times of files). Undefined where that cannot be told.
 */
export async function readIncarnation(dataDirectory: string): Promise<string | undefined> {
  try {
    const boot = await readFile('/proc/sys/kernel/random/boot_id', 'utf8')
    const { dev, ino } = await stat(dataDirectory, { bigint: true })
    const version = await stat(join(dataDirectory, 'PG_VERSION'), { bigint: true })
    return `${boot.trim()} ${dev}:${ino} ${fileIdentity(version)}`
  } catch {
    return undefined
  }
}

/** How long a file must have been left alone for its times to tell of the next write: file systems' clocks are coarse. */
const settledMs = 3000

/**
 * Judges by a file's `changedMs` whether a later write is sure to change its times. To be asked after the backup's
 * checkpoint, which writes the control file and so tells what time it is for the file system.
 */
export async function settledFilter(dataDirectory: string): Promise<(changedMs: number) => boolean> {
  const { mtimeMs } = await stat(join(dataDirectory, controlFilePath))
  return (changedMs) => changedMs < mtimeMs - settledMs
}
