import type { Lsn } from '../../../wal/core/lsn.ts'
import { readBody } from './body-reader.ts'
import { fromServerMicroseconds } from './frontend-message.ts'

/** What a server sends inside the copy stream of START_REPLICATION. */
export type StreamMessage =
  | {
      readonly kind: 'wal'
      readonly startLsn: Lsn
      /** The end of the server's own WAL when it sent this: how far we are behind. */
      readonly serverLsn: Lsn
      readonly sentAtEpochMs: number
      readonly data: Uint8Array
    }
  | {
      readonly kind: 'keepalive'
      readonly serverLsn: Lsn
      readonly sentAtEpochMs: number
      readonly replyRequested: boolean
    }

/** Decodes XLogData (`w`) and primary keepalive (`k`) of PostgreSQL 18 "Streaming Replication Protocol". */
export function decodeStreamMessage(data: Uint8Array): StreamMessage {
  const reader = readBody(data)
  const type = String.fromCharCode(reader.byte())
  switch (type) {
    case 'w': {
      const startLsn = reader.uint64() as Lsn
      const serverLsn = reader.uint64() as Lsn
      const sentAtEpochMs = fromServerMicroseconds(reader.int64())
      return { kind: 'wal', startLsn, serverLsn, sentAtEpochMs, data: reader.rest() }
    }
    case 'k': {
      const serverLsn = reader.uint64() as Lsn
      const sentAtEpochMs = fromServerMicroseconds(reader.int64())
      return { kind: 'keepalive', serverLsn, sentAtEpochMs, replyRequested: reader.byte() !== 0 }
    }
    default:
      throw new RangeError(`the WAL stream holds a message of the unknown type '${type}'`)
  }
}
