import { checksumOffset, pageBytes } from './checksum-page.ts'

const upperOffset = 14

/**
 * The pages, by their number, that PostgreSQL would refuse (`PageIsVerified`): an all-zero page is new and fine; any other must carry
 * the checksum in `expected`. A page header with `pd_upper` 0 is only valid when all of the page is zero.
 */
export function scanPages(pages: Uint8Array, expected: Uint16Array): number[] {
  const view = new DataView(pages.buffer, pages.byteOffset, expected.length * pageBytes)
  const suspects: number[] = []
  for (const [index, checksum] of expected.entries()) {
    const at = index * pageBytes
    const isNew = view.getUint16(at + upperOffset, true) === 0
    const intact = isNew
      ? isZero(pages.subarray(at, at + pageBytes))
      : view.getUint16(at + checksumOffset, true) === checksum
    if (!intact) suspects.push(index)
  }
  return suspects
}

const zeros = new Uint8Array(pageBytes)

function isZero(page: Uint8Array): boolean {
  return Buffer.compare(page, zeros) === 0
}
