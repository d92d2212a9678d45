import type { Lsn } from './lsn.ts'
import { longHeaderBytes, shortHeaderBytes, walPageBytes } from './page-header.ts'
import type { WalPages, WalRecord } from './record-reader.ts'
import { recordHeaderBytes, transactionEnd } from './record-header.ts'

/** PostgreSQL counts microseconds from 2000-01-01. */
const epochMicros = 946_684_800_000_000n

const blockIds = { dataShort: 255, dataLong: 254, origin: 253, topLevelTransaction: 252 } as const
/** Header, origin, top-level transaction, length, time: a commit refers to no blocks. */
const longestPrefix = recordHeaderBytes + 3 + 5 + 5 + 8

/**
 * When a transaction was committed, in microseconds since 1970 by the server's clock; undefined for any other record.
 * Source: XLogRecordAssemble in xloginsert.c, xl_xact_commit in xact.h.
 */
export function commitTime(pages: WalPages, record: WalRecord): bigint | undefined {
  if (transactionEnd(record) !== 'commit') return undefined
  const bytes = recordBytes(pages, record.lsn, Math.min(longestPrefix, record.totalBytes))
  if (bytes === undefined) return undefined
  const view = new DataView(bytes.buffer)
  for (let at = recordHeaderBytes; at < bytes.length;) {
    const id = view.getUint8(at)
    if (id === blockIds.origin) at += 3
    else if (id === blockIds.topLevelTransaction) at += 5
    else if (id === blockIds.dataShort || id === blockIds.dataLong) {
      const begin = at + (id === blockIds.dataShort ? 2 : 5)
      return begin + 8 <= bytes.length ? view.getBigInt64(begin, true) + epochMicros : undefined
    } else return undefined
  }
  return undefined
}

/** The first bytes of a record, without the headers of the pages that it goes over. */
function recordBytes(pages: WalPages, lsn: Lsn, count: number): Uint8Array<ArrayBuffer> | undefined {
  const bytes = new Uint8Array(count)
  let at = lsn
  for (let filled = 0; filled < count;) {
    const pageLsn = (at - (at % BigInt(walPageBytes))) as Lsn
    const page = pages.page(pageLsn)
    if (page === undefined) return undefined
    let offset = Number(at - pageLsn)
    if (offset === 0) offset = pageLsn % BigInt(pages.segmentBytes) === 0n ? longHeaderBytes : shortHeaderBytes
    const part = page.subarray(offset, Math.min(walPageBytes, offset + count - filled))
    bytes.set(part, filled)
    filled += part.length
    at = (pageLsn + BigInt(walPageBytes)) as Lsn
  }
  return bytes
}
