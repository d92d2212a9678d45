/** A range of one file that one worker reads in one go. `file` says which, for whoever asked. */
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
export const defaultSplitLimits: SplitLimits = { batchBytes: 32 * 1024 * 1024, batchFiles: 256 }

/**
 * Cuts a range of a file into parts, at multiples of `batchBytes`, hence between records. An empty range is a part, too:
 * that of an empty file.
 */
export function cutRange(file: number, from: number, to: number, { batchBytes }: SplitLimits): FilePart[] {
  const parts: FilePart[] = []
  let offset = from
  do {
    const end = Math.min(to, (Math.floor(offset / batchBytes) + 1) * batchBytes)
    parts.push({ file, offset, lengthBytes: end - offset })
    offset = end
  } while (offset < to)
  return parts
}

/** Gathers parts, in order, into batches of work. */
export class Batching<Part extends FilePart> {
  readonly #limits: SplitLimits
  #batch: Part[] = []
  #roomBytes: number

  constructor(limits: SplitLimits = defaultSplitLimits) {
    this.#limits = limits
    this.#roomBytes = limits.batchBytes
  }

  /** Gives the batch that is full now, since this part had no room in it. */
  add(part: Part): readonly Part[] | undefined {
    const isFull = part.lengthBytes > this.#roomBytes || this.#batch.length === this.#limits.batchFiles
    const full = this.#batch.length > 0 && isFull ? this.take() : undefined
    this.#batch.push(part)
    this.#roomBytes -= part.lengthBytes
    return full
  }

  /** What was gathered since the last batch. */
  take(): readonly Part[] {
    const batch = this.#batch
    this.#batch = []
    this.#roomBytes = this.#limits.batchBytes
    return batch
  }
}
