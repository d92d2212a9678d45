/** What a comparing thread is started with. */
export interface CompareWorkerData {
  readonly dataDirectory: string
  readonly chunkKey: string
}

export interface FileToCompare {
  /** Number in the manifest. */
  readonly number: number
  readonly path: string
  /** The file has exactly this size. */
  readonly sizeBytes: number
  /** Of all its chunks as they should be, in base64. */
  readonly hashes: string
}

export interface CompareOrder {
  readonly files: readonly FileToCompare[]
}

export type FromCompareWorker =
  /** For each file the chunks that differ, as pairs of the first and how many. */
  | { readonly kind: 'done'; readonly differing: readonly Uint32Array[] }
  | { readonly kind: 'failed'; readonly path: string; readonly code: string; readonly message: string }
