import { createZstdCompressor } from '../std/zstd.ts'
import { compressRecord, defaultCompressionLevel, type RecordContent } from './compress-record.ts'
import { encodeManifestFile, type ManifestFile } from './core/manifest.ts'

/**
 * The lines of a manifest's files, compressed as they come: a manifest of a million files is never in memory as a
 * whole. Lines are in the order in which they were added.
 */
export interface ManifestLines {
  readonly fileCount: number
  /** Sum of what the files hold. */
  readonly dataBytes: number
  /** Records of the manifest, whole lines or parts of them. */
  chunks(): Iterable<RecordContent>
}

export interface ManifestLinesWriter extends ManifestLines {
  add(file: ManifestFile): void
}

/** Plain content of one record of a manifest, about. */
export const manifestRecordBytes: number = 1024 * 1024

export function createManifestLines(): ManifestLinesWriter {
  const chunks: RecordContent[] = []
  const compressor = createZstdCompressor(defaultCompressionLevel)
  let waiting: string[] = []
  let [waitingLength, fileCount, dataBytes] = [0, 0, 0]
  const flush = (): void => {
    const bytes = Buffer.from(waiting.join(''))
    for (let at = 0; at < bytes.length; at += manifestRecordBytes) {
      chunks.push(compactly(compressRecord(bytes.subarray(at, at + manifestRecordBytes), compressor)))
    }
    waiting = []
    waitingLength = 0
  }
  return {
    get fileCount() {
      return fileCount
    },
    get dataBytes() {
      return dataBytes
    },
    add(file) {
      const line = encodeManifestFile(file)
      waiting.push(line)
      waitingLength += line.length
      fileCount += 1
      if (file.kind !== 'directory') dataBytes += file.sizeBytes
      if (waitingLength >= manifestRecordBytes) flush()
    },
    chunks() {
      flush()
      return chunks
    },
  }
}

/** The lines of files that are in memory. */
export function manifestLinesOf(files: Iterable<ManifestFile>): ManifestLines {
  const lines = createManifestLines()
  for (const file of files) lines.add(file)
  return lines
}

/** Lines one behind the other. */
export function joinManifestLines(all: readonly ManifestLines[]): ManifestLines {
  return {
    fileCount: all.reduce((sum, { fileCount }) => sum + fileCount, 0),
    dataBytes: all.reduce((sum, { dataBytes }) => sum + dataBytes, 0),
    *chunks() {
      for (const lines of all) yield* lines.chunks()
    },
  }
}

/** In memory of its own: the compressor is used again. */
function compactly(content: RecordContent): RecordContent {
  return { ...content, body: Uint8Array.from(content.body) }
}
