import type { Lsn } from '../../../wal/core/lsn.ts'

const encoder = new TextEncoder()

/** A simple query: on a replication connection the only way to give a command. */
export function encodeQuery(command: string): Uint8Array {
  if (command.includes('\0')) throw new RangeError('a command cannot contain a zero byte')
  return frame('Q', encoder.encode(`${command}\0`))
}

export function encodeCopyDone(): Uint8Array {
  return frame('c', new Uint8Array(0))
}

export function encodeTerminate(): Uint8Array {
  return frame('X', new Uint8Array(0))
}

export interface StandbyStatus {
  /** End of the WAL written, made durable, and replayed; 0 where the receiver has no answer. */
  readonly write: Lsn
  readonly flush: Lsn
  readonly apply: Lsn
  readonly replyRequested: boolean
}

/** The receiver's report (`r`), which moves the slot and answers synchronous commits. `epochMs` is our wall clock. */
export function encodeStandbyStatus(status: StandbyStatus, epochMs: number): Uint8Array {
  const body = new Uint8Array(34)
  const view = new DataView(body.buffer)
  view.setUint8(0, 'r'.charCodeAt(0))
  view.setBigUint64(1, status.write)
  view.setBigUint64(9, status.flush)
  view.setBigUint64(17, status.apply)
  view.setBigInt64(25, toServerMicroseconds(epochMs))
  view.setUint8(33, status.replyRequested ? 1 : 0)
  return frame('d', body)
}

/** PostgreSQL counts microseconds from 2000-01-01 UTC. */
const serverEpochMs = 946_684_800_000

export function toServerMicroseconds(epochMs: number): bigint {
  return BigInt(Math.trunc(epochMs) - serverEpochMs) * 1000n
}

export function fromServerMicroseconds(microseconds: bigint): number {
  return Number(microseconds / 1000n) + serverEpochMs
}

function frame(type: string, body: Uint8Array): Uint8Array {
  const message = new Uint8Array(5 + body.length)
  const view = new DataView(message.buffer)
  view.setUint8(0, type.charCodeAt(0))
  view.setUint32(1, 4 + body.length)
  message.set(body, 5)
  return message
}
