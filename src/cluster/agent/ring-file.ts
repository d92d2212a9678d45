import { appendFile, mkdir, rename, stat, truncate } from 'node:fs/promises'
import { join } from 'node:path'
import { toJson } from '../core/json-reader.ts'
import type { Decision } from '../core/decision.ts'
import type { View } from '../core/view.ts'

/** The last views with what was decided on them, for `why` and for replaying an incident. Two files, each bounded. */
export interface RingFile {
  /** Keeps the view when its decision differs from the one before; never rejects. */
  record(view: View, decision: Decision): void
  flush(): Promise<void>
}

const limitBytes = 4 * 2 ** 20

export async function openRingFile(directory: string, onError: (error: unknown) => void): Promise<RingFile> {
  await mkdir(directory, { recursive: true, mode: 0o700 })
  const current = join(directory, 'decisions.ndjson')
  let sizeBytes = await stat(current).then(
    ({ size }) => size,
    () => 0,
  )
  let last = ''
  let queue: Promise<void> = Promise.resolve()
  const append = async (line: string): Promise<void> => {
    if (sizeBytes > limitBytes) {
      await rename(current, join(directory, 'decisions.previous.ndjson'))
      sizeBytes = 0
    }
    try {
      await appendFile(current, line, { mode: 0o600 })
    } catch (error) {
      // A full disk takes the beginning of a line.
      await truncate(current, sizeBytes).catch(() => undefined)
      throw error
    }
    sizeBytes += Buffer.byteLength(line)
  }
  return {
    record: (view, decision) => {
      const summary = toJson({ commands: decision.commands, because: decision.because })
      if (summary === last) return
      last = summary
      const line = `${toJson({ view, decision })}\n`
      queue = queue.then(() => append(line)).catch(onError)
    },
    flush: () => queue,
  }
}
