import type { Lsn } from './lsn.ts'

export const recordHeaderBytes = 24

/** Where the checksum lies in a record's header; it covers the data first, then the header up to here. */
export const recordChecksumOffset = 20

/** The header of a WAL record. Source: XLogRecord in xlogrecord.h. */
export interface WalRecordHeader {
  /** Header and data, without the padding to the next multiple of 8. */
  readonly totalBytes: number
  readonly transaction: number
  /** Where the record before begins. */
  readonly previousLsn: Lsn
  readonly info: number
  readonly resourceManager: number
  readonly checksum: number
}

/** Numbers of the resource managers that Holdfast looks at. Source: rmgrlist.h. */
export const resourceManagers = { xlog: 0, transaction: 1 } as const

const lastBuiltIn = 21
const firstCustom = 128

/** Reads a header; undefined when it cannot be one. */
export function parseRecordHeader(bytes: Uint8Array): WalRecordHeader | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const totalBytes = view.getUint32(0, true)
  const resourceManager = view.getUint8(17)
  if (totalBytes < recordHeaderBytes) return undefined
  if (resourceManager > lastBuiltIn && resourceManager < firstCustom) return undefined
  return {
    totalBytes,
    transaction: view.getUint32(4, true),
    previousLsn: view.getBigUint64(8, true) as Lsn,
    info: view.getUint8(16),
    resourceManager,
    checksum: view.getUint32(recordChecksumOffset, true),
  }
}

/** True for the record after which the rest of its segment is left empty. */
export function isSegmentSwitch(header: WalRecordHeader): boolean {
  return header.resourceManager === resourceManagers.xlog && (header.info & 0xf0) === 0x40
}

const transactionEnds: Readonly<Record<number, 'commit' | 'abort'>> = {
  0x00: 'commit',
  0x20: 'abort',
  0x30: 'commit',
  0x40: 'abort',
}

/** Whether a record ends a transaction, prepared ones included. Source: the XLOG_XACT_ values in xact.h. */
export function transactionEnd(header: WalRecordHeader): 'commit' | 'abort' | undefined {
  return header.resourceManager === resourceManagers.transaction ? transactionEnds[header.info & 0x70] : undefined
}
