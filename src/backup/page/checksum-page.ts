/**
 * PostgreSQL's page checksum in plain JavaScript: the readable definition that the WebAssembly kernel is tested
 * against, and what judges a single page. Follows `src/include/storage/checksum_impl.h` of PostgreSQL 9.3 to 18:
 * 32 interleaved FNV-1a variants over the page's 32-bit words, two rounds of zeros, the block number mixed in.
 */
export const pageBytes = 8192

/** Where the page header keeps its checksum, a 16-bit number that counts as zero while the page is summed. */
export const checksumOffset = 8

export const fnvPrime = 16777619

/** The 32 start values of `checksumBaseOffsets`. */
export const checksumBaseOffsets: readonly number[] = [
  0x5b1f36e9, 0xb8525960, 0x02ab50aa, 0x1de66d2a, 0x79ff467a, 0x9bb9f8a3, 0x217e7cd2, 0x83e13d2c, 0xf8d4474f,
  0xe39eb970, 0x42c6ae16, 0x993216fa, 0x7b093b5d, 0x98daff3c, 0xf718902a, 0x0b1c9cdb, 0xe58f764b, 0x187636bc,
  0x5d7b3bb1, 0xe73de7de, 0x92bec979, 0xcca6c0b2, 0x304a0979, 0x85aa43d4, 0x783125bb, 0x6ca8eaa2, 0xe407eac6,
  0x4b5cfc3e, 0x9fbf8c76, 0x15ca20be, 0xf2ca9fd3, 0x959bd756,
]

const sumCount = checksumBaseOffsets.length
const wordCount = pageBytes / 4
const checksumWord = checksumOffset / 4

/**
 * The checksum (1 to 65535) that an intact page at `block` has in its header. `block` counts from the beginning of the
 * relation's fork, over all its segment files.
 */
export function checksumPage(page: Uint8Array, block: number): number {
  const words = new DataView(page.buffer, page.byteOffset, pageBytes)
  const sums = Int32Array.from(checksumBaseOffsets)
  for (let word = 0; word < wordCount; word++) {
    const value = words.getUint32(word * 4, true)
    mix(sums, word % sumCount, word === checksumWord ? value & 0xffff_0000 : value)
  }
  for (let word = 0; word < 2 * sumCount; word++) mix(sums, word % sumCount, 0)
  const sum = sums.reduce((folded, each) => folded ^ each, block)
  return ((sum >>> 0) % 65535) + 1
}

function mix(sums: Int32Array, index: number, value: number): void {
  const mixed = (sums[index] ?? 0) ^ value
  sums[index] = Math.imul(mixed, fnvPrime) ^ (mixed >>> 17)
}
