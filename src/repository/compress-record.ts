import type { ZstdCompressor } from '../std/zstd.ts'
import type { Codec } from './core/pack-layout.ts'

/** The content of a record as it will be sealed. */
export interface RecordContent {
  readonly codec: Codec
  readonly body: Uint8Array
  /** Length of the plain content. */
  readonly rawBytes: number
}

/** It is the fastest, and PostgreSQL's pages get no smaller at 3: `docs/decisions/0007-zstd-level-1.md`. */
export const defaultCompressionLevel = 1

/**
 * Data that zstd cannot make smaller is stored as it is: that reads faster. The body is good until the compressor, or
 * whoever gave the plain content, is used again.
 */
export function compressRecord(plain: Uint8Array, { compress }: ZstdCompressor): RecordContent {
  const rawBytes = plain.length
  if (rawBytes === 0) return { codec: 'none', body: plain, rawBytes }
  const compressed = compress(plain)
  return compressed.length < rawBytes
    ? { codec: 'zstd', body: compressed, rawBytes }
    : { codec: 'none', body: plain, rawBytes }
}
