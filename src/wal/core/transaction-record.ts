import { recordHeaderBytes } from './record-header.ts'

/** Marks in front of a record's main data. Source: `xlogrecord.h` of PostgreSQL 15 to 18. */
const blockIds = { dataShort: 255, dataLong: 254, origin: 253, topTransaction: 252 } as const

/** Microseconds from 1970 to 2000, where PostgreSQL counts from. */
const postgresEpochMicros = 946_684_800_000_000n

/**
 * The moment that a record of a transaction's end bears, in microseconds since 1970; undefined when the bytes are of
 * another kind. Source: `xl_xact_commit` and `xl_xact_abort` in `xact.h`, which begin with it.
 */
export function transactionTime(record: Uint8Array): bigint | undefined {
  const view = new DataView(record.buffer, record.byteOffset, record.byteLength)
  for (let at = recordHeaderBytes; at < record.length;) {
    const id = view.getUint8(at)
    if (id === blockIds.origin) at += 3
    else if (id === blockIds.topTransaction) at += 5
    else if (id === blockIds.dataShort || id === blockIds.dataLong) {
      const data = at + (id === blockIds.dataShort ? 2 : 5)
      return data + 8 > record.length ? undefined : view.getBigInt64(data, true) + postgresEpochMicros
    } else return undefined
  }
  return undefined
}
