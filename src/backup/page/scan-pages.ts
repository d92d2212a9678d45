import { checksumOffset, pageBytes } from './checksum-page.ts'

/** A page whose checksum does not fit its bytes. `lsn` is what its header says, which may be part of the damage. */
export interface SuspectPage {
  /** Number of the page among those scanned. */
  readonly index: number
  readonly lsn: bigint
}

const upperOffset = 14

/**
 * The pages that PostgreSQL would refuse (`PageIsVerified`): an all-zero page is new and fine; any other must carry
 * the checksum in `expected`. A page header with `pd_upper` 0 is only valid when all of the page is zero.
 */
export function scanPages(pages: Uint8Array, expected: Uint16Array): SuspectPage[] {
  const view = new DataView(pages.buffer, pages.byteOffset, expected.length * pageBytes)
  const suspects: SuspectPage[] = []
  for (const [index, checksum] of expected.entries()) {
    const at = index * pageBytes
    const isNew = view.getUint16(at + upperOffset, true) === 0
    const intact = isNew
      ? isZero(pages.subarray(at, at + pageBytes))
      : view.getUint16(at + checksumOffset, true) === checksum
    if (!intact) suspects.push({ index, lsn: pageLsn(view, at) })
  }
  return suspects
}

/** The LSN in the header of the page at `at`: high half first, each half little-endian. */
function pageLsn(view: DataView, at: number): bigint {
  return (BigInt(view.getUint32(at, true)) << 32n) | BigInt(view.getUint32(at + 4, true))
}

function isZero(bytes: Uint8Array): boolean {
  return bytes.every((byte) => byte === 0)
}
