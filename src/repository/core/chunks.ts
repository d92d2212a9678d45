/** Files are compared in chunks of as many bytes as a record of pages has. */
export const chunkBytes = 256 * 1024

/** Bytes of the hash of one chunk. */
export const chunkHashBytes = 16

export function chunkCount(sizeBytes: number): number {
  return Math.ceil(sizeBytes / chunkBytes)
}
