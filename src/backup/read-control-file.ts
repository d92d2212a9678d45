import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Clock } from '../std/clock.ts'
import { Fault } from '../std/fault.ts'
import { controlFilePath } from './core/content-rules.ts'
import { backupFaults } from './faults.ts'
import { isGone } from './list-data-directory.ts'

const maxReads = 100

/**
 * The bytes of `global/pg_control`, which the server may be writing while we read: read until two readings in a row
 * are the same.
 */
export async function readControlFileBytes(
  dataDirectory: string,
  options: { readonly clock: Clock; readonly signal?: AbortSignal | undefined },
): Promise<Uint8Array> {
  let before = await readOnce(dataDirectory)
  for (let reads = 1; reads < maxReads; reads++) {
    await options.clock.sleep(10, options)
    const now = await readOnce(dataDirectory)
    if (now.equals(before)) return now
    before = now
  }
  throw new Fault(
    backupFaults['backup-file-unreadable'],
    `Cannot back up ${controlFilePath}: it was different each of the ${maxReads} times it was read`,
    { details: { path: controlFilePath } },
  )
}

async function readOnce(dataDirectory: string): Promise<Buffer> {
  try {
    return await readFile(join(dataDirectory, controlFilePath))
  } catch (error) {
    const kind = isGone(error) ? 'backup-file-missing' : 'backup-file-unreadable'
    const reason = error instanceof Error ? error.message : String(error)
    throw new Fault(backupFaults[kind], `Cannot back up ${controlFilePath}: ${reason}`, {
      cause: error,
      details: { path: controlFilePath },
    })
  }
}
