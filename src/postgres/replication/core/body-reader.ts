/** Reads the fields of a message body in order; every read past the end throws a RangeError. */
export interface BodyReader {
  byte(): number
  int16(): number
  int32(): number
  int64(): bigint
  uint64(): bigint
  /** Text up to the next zero byte, which is taken too. */
  text(): string
  bytes(length: number): Uint8Array
  rest(): Uint8Array
}

const decoder = new TextDecoder()

export function readBody(body: Uint8Array): BodyReader {
  const view = new DataView(body.buffer, body.byteOffset, body.byteLength)
  let offset = 0

  function take(length: number): number {
    if (length < 0 || offset + length > body.length) throw new RangeError('a message ends inside one of its fields')
    const start = offset
    offset += length
    return start
  }

  return {
    byte: () => view.getUint8(take(1)),
    int16: () => view.getInt16(take(2)),
    int32: () => view.getInt32(take(4)),
    int64: () => view.getBigInt64(take(8)),
    uint64: () => view.getBigUint64(take(8)),
    text: () => {
      const end = body.indexOf(0, offset)
      if (end < 0) throw new RangeError('a text in a message has no end')
      const start = take(end - offset + 1)
      return decoder.decode(body.subarray(start, end))
    },
    bytes: (length) => {
      const start = take(length)
      return body.subarray(start, start + length)
    },
    rest: () => body.subarray(take(body.length - offset)),
  }
}
