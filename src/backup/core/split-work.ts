/** A range of one file that one worker reads in one go. `file` is an index into the list that was split. */
export interface FilePart {
  readonly file: number
  readonly offset: number
  readonly lengthBytes: number
}

export interface SplitLimits {
  /** A batch is closed when it holds this much, and a file bigger than that is cut into parts of this size. */
  readonly batchBytes: number
  readonly batchFiles: number
}

/** Batches are as big as a pack, so that the last of them leaves no worker alone for long. */
export const defaultSplitLimits: SplitLimits = { batchBytes: 32 * 1024 * 1024, batchFiles: 512 }

/**
 * Cuts files of these sizes into batches of work, in order, each byte once. Empty files are parts, too. Cuts are at
 * multiples of `batchBytes`, hence between records.
 */
export function splitWork(sizes: readonly number[], limits: SplitLimits = defaultSplitLimits): FilePart[][] {
  const batches: FilePart[][] = []
  let batch: FilePart[] = []
  let room = limits.batchBytes
  for (const [file, size] of sizes.entries()) {
    for (const part of cutFile(file, size, limits.batchBytes)) {
      if (batch.length > 0 && (part.lengthBytes > room || batch.length === limits.batchFiles)) {
        batches.push(batch)
        batch = []
        room = limits.batchBytes
      }
      batch.push(part)
      room -= part.lengthBytes
    }
  }
  return batch.length === 0 ? batches : [...batches, batch]
}

function cutFile(file: number, size: number, partBytes: number): FilePart[] {
  const count = Math.max(1, Math.ceil(size / partBytes))
  return Array.from({ length: count }, (_, index) => {
    const offset = index * partBytes
    return { file, offset, lengthBytes: Math.min(partBytes, size - offset) }
  })
}
