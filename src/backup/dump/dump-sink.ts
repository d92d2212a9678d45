import { createHash } from 'node:crypto'

/** Where dumps go: a directory, or the repository. */
export interface DumpSink {
  /** For messages. */
  readonly description: string
  /**
   * Stores a dump whole or not at all: the file, then the line of sha256sum, then the JSON that `describe` makes of what was
   * stored. When `content` or anything else fails, nothing is left that looks like a dump.
   */
  store(
    file: string,
    content: AsyncIterable<Uint8Array>,
    describe: (stored: StoredDump) => Uint8Array,
    signal?: AbortSignal,
  ): Promise<void>
}

export interface StoredDump {
  readonly sizeBytes: number
  readonly sha256: string
  readonly parts: number
}

/** Counts and hashes what goes by. */
export function openMeter(): {
  readonly pass: (content: AsyncIterable<Uint8Array>) => AsyncGenerator<Uint8Array>
  readonly result: (parts: number) => StoredDump
} {
  const hash = createHash('sha256')
  let sizeBytes = 0
  return {
    pass: async function* (content) {
      for await (const chunk of content) {
        hash.update(chunk)
        sizeBytes += chunk.length
        yield chunk
      }
    },
    result: (parts) => ({ sizeBytes, sha256: hash.digest('hex'), parts }),
  }
}

/** As `sha256sum -c` reads it. */
export function checksumLine(sha256: string, file: string): string {
  return `${sha256}  ${file}\n`
}

export const checksumName = (file: string): string => `${file}.sha256`
export const recordName = (file: string): string => `${file}.json`
