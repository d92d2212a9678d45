import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { parseControlFile } from '../postgres/core/control-file.ts'
import type { Clock } from '../std/clock.ts'
import { Fault } from '../std/fault.ts'
import { controlFilePath } from './core/content-rules.ts'
import { backupFaults } from './faults.ts'
import { isGone } from './list-data-directory.ts'

const maxReads = 50
const rereadAfterMs = 10

/**
 * The bytes of `global/pg_control` with its checksum verified. The server may be writing it while we read, so a wrong
 * checksum is read again; a file that is never right throws `backup-file-unreadable`.
 */
export async function readControlFileBytes(
  dataDirectory: string,
  options: { readonly clock: Clock; readonly signal?: AbortSignal | undefined },
): Promise<Uint8Array> {
  for (let reads = 1; ; reads++) {
    const bytes = await readOnce(dataDirectory)
    const parsed = parseControlFile(bytes)
    if ('control' in parsed) return bytes
    if (reads === maxReads) throw unreadable('backup-file-unreadable', parsed.corrupt)
    await options.clock.sleep(rereadAfterMs, { signal: options.signal })
  }
}

async function readOnce(dataDirectory: string): Promise<Buffer> {
  try {
    return await readFile(join(dataDirectory, controlFilePath))
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error)
    throw unreadable(isGone(error) ? 'backup-file-missing' : 'backup-file-unreadable', reason, error)
  }
}

function unreadable(code: 'backup-file-missing' | 'backup-file-unreadable', reason: string, cause?: unknown): Fault {
  return new Fault(backupFaults[code], `Cannot back up ${controlFilePath}: ${reason}`, {
    cause,
    details: { path: controlFilePath },
  })
}
