/** A position in the write-ahead log: the number of bytes since its beginning. */
export type Lsn = bigint & { readonly brand: 'Lsn' }

/** A timeline id, 1 or more. */
export type TimelineId = number & { readonly brand: 'TimelineId' }

const pattern = /^([0-9A-Fa-f]{1,8})\/([0-9A-Fa-f]{1,8})$/

/** Reads PostgreSQL's `16/B374D848`; undefined when the text is no LSN. */
export function parseLsn(text: string): Lsn | undefined {
  const match = pattern.exec(text)
  if (match === null) return undefined
  return ((BigInt(`0x${match[1]}`) << 32n) | BigInt(`0x${match[2]}`)) as Lsn
}

/** Writes an LSN as PostgreSQL does: `16/B374D848`. */
export function formatLsn(lsn: Lsn): string {
  return `${(lsn >> 32n).toString(16).toUpperCase()}/${(lsn & 0xffff_ffffn).toString(16).toUpperCase()}`
}
