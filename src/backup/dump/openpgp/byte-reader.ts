/** Reads a stream of bytes by amounts instead of by chunks. */
export interface ByteReader {
  /** Exactly so many bytes; fewer only where the stream ends. For small amounts. */
  read(bytes: number): Promise<Uint8Array>
  /** At most so many bytes, and at least one; empty at the end. */
  some(atMost: number): Promise<Uint8Array>
}

export function openByteReader(stream: AsyncIterable<Uint8Array>): ByteReader {
  const iterator = stream[Symbol.asyncIterator]()
  let held: Uint8Array = new Uint8Array()
  const some = async (atMost: number): Promise<Uint8Array> => {
    while (held.length === 0) {
      const next = await iterator.next()
      if (next.done === true) return held
      held = next.value
    }
    const taken = held.subarray(0, atMost)
    held = held.subarray(taken.length)
    return taken
  }
  return {
    some,
    read: async (bytes) => {
      const parts: Uint8Array[] = []
      let missing = bytes
      while (missing > 0) {
        const part = await some(missing)
        if (part.length === 0) break
        parts.push(part)
        missing -= part.length
      }
      return parts.length === 1 && parts[0] !== undefined ? parts[0] : Buffer.concat(parts)
    },
  }
}
