/** A message of the PostgreSQL protocol as framed on the wire: its type byte and what follows the length word. */
export interface RawMessage {
  readonly type: number
  /** A view into the received bytes where the message lay in one chunk, else memory of its own. */
  readonly body: Uint8Array
}

export interface MessageParser {
  /** Takes bytes as they came, cut anywhere, and gives the messages that are now whole. */
  push(chunk: Uint8Array): RawMessage[]
  /** True between two messages; false when the stream stopped inside one. */
  atBoundary(): boolean
}

const headerBytes = 5

/**
 * Cuts a stream of bytes from a server into messages. A message that lies whole in a chunk is not copied; one that spans
 * chunks is gathered in memory of exactly its size, so at most `maxMessageBytes` are held. Throws a RangeError when a
 * length word is impossible: the stream is then out of step and nothing after it can be trusted.
 */
export function createMessageParser(options: { readonly maxMessageBytes: number }): MessageParser {
  const header = new Uint8Array(headerBytes)
  let headerFilled = 0
  let body: Uint8Array | undefined
  let bodyFilled = 0

  function push(chunk: Uint8Array): RawMessage[] {
    const messages: RawMessage[] = []
    let offset = 0
    while (offset < chunk.length) {
      if (body === undefined) {
        const taken = Math.min(headerBytes - headerFilled, chunk.length - offset)
        header.set(chunk.subarray(offset, offset + taken), headerFilled)
        headerFilled += taken
        offset += taken
        if (headerFilled < headerBytes) break
        const length = bodyLength(header, options.maxMessageBytes)
        if (chunk.length - offset >= length) {
          messages.push({ type: header[0]!, body: chunk.subarray(offset, offset + length) })
          offset += length
          headerFilled = 0
          continue
        }
        body = new Uint8Array(length)
        bodyFilled = 0
      }
      const taken = Math.min(body.length - bodyFilled, chunk.length - offset)
      body.set(chunk.subarray(offset, offset + taken), bodyFilled)
      bodyFilled += taken
      offset += taken
      if (bodyFilled === body.length) {
        messages.push({ type: header[0]!, body })
        body = undefined
        headerFilled = 0
      }
    }
    return messages
  }

  return { push, atBoundary: () => headerFilled === 0 }
}

function bodyLength(header: Uint8Array, maxMessageBytes: number): number {
  const length = ((header[1]! << 24) | (header[2]! << 16) | (header[3]! << 8) | header[4]!) - 4
  if (length < 0 || length > maxMessageBytes) {
    throw new RangeError(`a message of type 0x${header[0]!.toString(16)} claims a length of ${length} bytes`)
  }
  return length
}
