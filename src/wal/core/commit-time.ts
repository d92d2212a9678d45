import type { Lsn } from './lsn.ts'
import { longHeaderBytes, shortHeaderBytes, walPageBytes } from './page-header.ts'
import type { WalPages, WalRecord } from './record-reader.ts'
import { recordHeaderBytes, transactionEnd } from './record-header.ts'
import { transactionTime } from './transaction-record.ts'

/** Header, origin, top-level transaction, length, time: a commit refers to no blocks. */
const longestPrefix = recordHeaderBytes + 3 + 5 + 5 + 8

/**
 * When a transaction was committed, in microseconds since 1970 by the server's clock; undefined for any other record.
 * Source: XLogRecordAssemble in xloginsert.c.
 */
export function commitTime(pages: WalPages, record: WalRecord): bigint | undefined {
  if (transactionEnd(record) !== 'commit') return undefined
  const bytes = recordBytes(pages, record.lsn, Math.min(longestPrefix, record.totalBytes))
  if (bytes === undefined) return undefined
  return transactionTime(bytes)
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
