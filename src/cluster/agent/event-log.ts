import { createHash } from 'node:crypto'
import { open, readFile } from 'node:fs/promises'
import type { FileHandle } from 'node:fs/promises'
import type { Clock } from '../../std/clock.ts'

/**
 * What happened on this node, a JSON object a line. Each line carries the SHA-256 of the line before it, so that a line
 * that was changed or taken out shows. What could not be written is counted by the next line that could. Times are on both clocks: the monotonic one measures, the wall clock tells.
 */
export interface EventLog extends AsyncDisposable {
  /** Written in order; a failure to write is reported by the next {@link EventLog.flush}, never to who noted it. */
  note(event: string, fields?: EventFields): void
  flush(): Promise<void>
}

export type EventFields = Readonly<Record<string, string | number | boolean | null>>

const genesis = '0'.repeat(64)

export async function openEventLog(
  path: string,
  options: { readonly node: string; readonly clock: Clock; readonly onError: (error: unknown) => void },
): Promise<EventLog> {
  const { clock, node, onError } = options
  let previous = await lastHash(path)
  const file: FileHandle = await open(path, 'a', 0o600)
  let { size: sizeBytes } = await file.stat()
  let lost = 0
  let queue: Promise<void> = Promise.resolve()
  const entry = (event: string, fields: EventFields): object => ({
    at: new Date(clock.wall()).toISOString(),
    monotonicMs: Math.round(clock.monotonic() * 1000) / 1000,
    node,
    event,
    ...fields,
  })
  const append = async (noted: object): Promise<void> => {
    const line = JSON.stringify({ ...noted, previous })
    await file.appendFile(`${line}\n`)
    previous = createHash('sha256').update(line).digest('hex')
    sizeBytes += Buffer.byteLength(line) + 1
  }
  const write = async (noted: object): Promise<void> => {
    try {
      if (lost > 0) await append(entry('events-lost', { count: lost }))
      lost = 0
      await append(noted)
    } catch (error) {
      lost += 1
      // A full disk takes the beginning of a line.
      await file.truncate(sizeBytes)
      throw error
    }
  }
  return {
    note: (event, fields = {}) => {
      const noted = entry(event, fields)
      queue = queue.then(() => write(noted)).catch(onError)
    },
    flush: () => queue,
    [Symbol.asyncDispose]: async () => {
      await queue
      await file.close()
    },
  }
}

/** The hash of the last whole line. A line cut off by a crash is ended, so that the next one stands alone. */
async function lastHash(path: string): Promise<string> {
  const text = await readFile(path, 'utf8').catch(() => '')
  if (text === '') return genesis
  if (!text.endsWith('\n')) {
    await using file = await open(path, 'a', 0o600)
    await file.appendFile('\n')
  }
  const last = text.trimEnd().split('\n').at(-1) ?? ''
  return createHash('sha256').update(last).digest('hex')
}
