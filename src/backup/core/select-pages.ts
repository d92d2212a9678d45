/** What an earlier backup has of a file, for taking only what changed since. */
export interface EarlierPages {
  /** Pages with an LSN from here on were changed since that backup began. */
  readonly sinceLsn: bigint
  /** It has the pages below this one. */
  readonly pageCount: number
  /** Pages of the file that it has damaged. */
  readonly damaged: readonly number[]
  /** Pages of the file that need not be copied whatever they are: they were taken over. */
  readonly taken?: ReadonlySet<number> | undefined
}

const pageBytes = 8192
const upperOffset = 14

/**
 * The pages, by their place in `pages`, that the earlier backup does not have as they are now: those past its end, those
 * with an LSN that is not below the start of that backup, and new ones, which have no LSN. `firstPage` is the number, in
 * the file, of the first.
 *
 * A page that is being written while we read it has an LSN from after the present backup's start in WAL, with a full
 * image, so it does not matter which of the two LSNs is found here.
 */
export function selectPages(pages: Uint8Array, firstPage: number, earlier: EarlierPages): number[] {
  const view = new DataView(pages.buffer, pages.byteOffset, pages.byteLength)
  const high = Number(earlier.sinceLsn >> 32n)
  const low = Number(earlier.sinceLsn & 0xffff_ffffn)
  const selected: number[] = []
  for (let index = 0, at = 0; at < pages.length; index++, at += pageBytes) {
    const pageHigh = view.getUint32(at, true)
    const changed = pageHigh > high || (pageHigh === high && view.getUint32(at + 4, true) >= low)
    const isNew = view.getUint16(at + upperOffset, true) === 0
    const page = firstPage + index
    if (earlier.taken?.has(page) === true) continue
    if (changed || isNew || page >= earlier.pageCount || earlier.damaged.includes(page)) selected.push(index)
  }
  return selected
}
