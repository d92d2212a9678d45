import {
  constants,
  createZstdCompress,
  createZstdDecompress,
  zstdCompressSync,
  zstdDecompressSync,
  type ZstdCompress,
  type ZstdDecompress,
} from 'node:zlib'

/** Compresses one block of data after the other, each so that it can be read alone. */
export interface ZstdCompressor {
  /** The bytes are good until the next call. */
  readonly compress: (plain: Uint8Array) => Uint8Array
}

export interface ZstdDecompressor {
  /**
   * What was compressed, or undefined when these are not `plainBytes` bytes that zstd compressed. The bytes are good until
   * the next call.
   */
  readonly decompress: (compressed: Uint8Array, plainBytes: number) => Uint8Array | undefined
}

/**
 * `zstdCompressSync` makes a context and an output buffer for each call, whose memory then has to be collected: for blocks
 * of 256 KiB that takes as long again as the work (docs/design/performance.md). This one keeps both. Node.js has no public
 * way to do so synchronously, hence {@link ReusedContext}; the bytes are the same.
 */
export function createZstdCompressor(level: number): ZstdCompressor {
  const params = { [constants.ZSTD_c_compressionLevel]: level }
  const whole = (plain: Uint8Array): Uint8Array => zstdCompressSync(plain, { params })
  const context = new ReusedContext(() => createZstdCompress({ params, chunkSize: smallestChunk }), whole)
  return { compress: (plain) => context.run(plain, boundOf(plain.length)) ?? whole(plain) }
}

/** As {@link createZstdCompressor}, for `zstdDecompressSync`. */
export function createZstdDecompressor(): ZstdDecompressor {
  const context = new ReusedContext(() => createZstdDecompress({ chunkSize: smallestChunk }), zstdDecompressSync)
  return {
    decompress: (compressed, plainBytes) => {
      const quick = context.run(compressed, plainBytes)
      if (quick?.length === plainBytes) return quick
      context.drop()
      try {
        const plain = zstdDecompressSync(compressed, { maxOutputLength: Math.max(1, plainBytes) })
        return plain.length === plainBytes ? plain : undefined
      } catch {
        return undefined
      }
    },
  }
}

/** The stream makes a buffer of this size for itself, which is not used. */
const smallestChunk = 64

/** What zstd may need at most: ZSTD_COMPRESSBOUND in zstd.h. */
function boundOf(plainBytes: number): number {
  return plainBytes + (plainBytes >> 8) + 1024
}

/** What Node.js 24 keeps behind a zlib stream (lib/zlib.js, processChunkSync). */
interface Handle {
  writeSync(
    flush: number,
    input: Uint8Array,
    inputOffset: number,
    inputBytes: number,
    output: Uint8Array,
    outputOffset: number,
    outputBytes: number,
  ): void
}

/** So many results are compared with those of the public function before a context is trusted. */
const comparisons = 2

/**
 * One zstd context, used for many frames. After the end of a frame zstd begins the next one with the same settings. As
 * this relies on internals of Node.js, nothing is taken for granted: the shape of the handle is looked at, the first
 * results are compared with the public function's, and whatever is not as it should be ends it: then there are no quick
 * results any more, and the public functions do the work.
 */
class ReusedContext {
  readonly #open: () => ZstdCompress | ZstdDecompress
  readonly #whole: (input: Uint8Array) => Uint8Array
  #stream: ZstdCompress | ZstdDecompress | undefined
  #output = new Uint8Array(0)
  #compared = 0
  #unusable = false

  constructor(open: () => ZstdCompress | ZstdDecompress, whole: (input: Uint8Array) => Uint8Array) {
    this.#open = open
    this.#whole = whole
  }

  /** A whole frame made or read, at most `outputBytes` long; undefined where that did not work. */
  run(input: Uint8Array, outputBytes: number): Uint8Array | undefined {
    if (this.#unusable) return undefined
    const { handle, state } = this.#handle()
    if (handle === undefined || state === undefined) {
      this.#unusable = true
      return undefined
    }
    // A byte more than it can fill tells that it had come to its end.
    if (this.#output.length <= outputBytes) this.#output = new Uint8Array(outputBytes + 64)
    const output = this.#output
    handle.writeSync(constants.ZSTD_e_end, input, 0, input.length, output, 0, output.length)
    const [roomLeft = 0, inputLeft = 0] = state
    if (this.#stream?.destroyed !== false || inputLeft !== 0 || roomLeft === 0) {
      this.drop()
      return undefined
    }
    const result = output.subarray(0, output.length - roomLeft)
    return this.#isTrusted(input, result) ? result : undefined
  }

  /** The next one begins anew, after input that was not what it should be. */
  drop(): void {
    this.#stream?.destroy()
    this.#stream = undefined
  }

  #handle(): { readonly handle: Handle | undefined; readonly state: Uint32Array | undefined } {
    if (this.#stream === undefined) {
      this.#stream = this.#open()
      // Bad input destroys the stream, which is seen and dealt with at once.
      this.#stream.on('error', () => undefined)
    }
    const { _handle: handle, _writeState: state } = this.#stream as unknown as Readonly<Record<string, unknown>>
    const known = typeof (handle as Partial<Handle> | undefined)?.writeSync === 'function'
    return { handle: known ? (handle as Handle) : undefined, state: state instanceof Uint32Array ? state : undefined }
  }

  #isTrusted(input: Uint8Array, result: Uint8Array): boolean {
    if (this.#compared === comparisons) return true
    this.#compared += 1
    let same = false
    try {
      same = Buffer.compare(this.#whole(input), result) === 0
    } catch {
      // It found an end where the public function finds none: not to be relied on.
    }
    this.#unusable = !same
    return same
  }
}
