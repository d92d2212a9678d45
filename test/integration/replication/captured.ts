import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { constants, zstdCompressSync, zstdDecompressSync } from 'node:zlib'

const directory = join(import.meta.dirname, '../../fixtures/replication')

export const capturedMajors = [15, 18] as const
export type Capture = 'conversation' | 'base-backup'

/** What a real server of this major sent after authentication; see `capture.ts` for how it was made. */
export function readCaptured(capture: Capture, major: number): Uint8Array {
  return new Uint8Array(zstdDecompressSync(readFileSync(join(directory, `${capture}-${major}.zst`))))
}

export function writeCaptured(capture: Capture, major: number, bytes: Uint8Array): void {
  const options = { params: { [constants.ZSTD_c_compressionLevel]: 19 } }
  writeFileSync(join(directory, `${capture}-${major}.zst`), zstdCompressSync(bytes, options))
}

/** Cuts bytes at the given places, in any order; places beyond the end do not matter. */
export function cutAt(bytes: Uint8Array, places: readonly number[]): Uint8Array[] {
  const sorted = places.map((place) => place % (bytes.length + 1)).sort((a, b) => a - b)
  return [...sorted, bytes.length].map((end, i) => bytes.subarray(sorted[i - 1] ?? 0, end))
}
