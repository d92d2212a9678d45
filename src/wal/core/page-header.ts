import type { Lsn, TimelineId } from './lsn.ts'

/** WAL is written in pages of this many bytes; builds with another size are not supported. */
export const walPageBytes = 8192

/** Bytes before the first record data of a page, and of the first page of a segment. */
export const shortHeaderBytes = 24
export const longHeaderBytes = 40

/** The header of a WAL page. Source: XLogPageHeaderData and XLogLongPageHeaderData in xlog_internal.h. */
export interface WalPageHeader {
  /** Of the format; differs from major release to major release. */
  readonly magic: number
  readonly timeline: TimelineId
  /** Where this page belongs; a recycled page that was not written yet has another. */
  readonly lsn: Lsn
  /** Bytes of the record that goes on from the page before; 0 when a record begins here. */
  readonly continuedBytes: number
  /** The record that began before was given up by a crash, and a new one begins here. */
  readonly overwritesContinued: boolean
  readonly headerBytes: number
  /** Only on the first page of a segment. */
  readonly segment?: { readonly systemIdentifier: bigint; readonly segmentBytes: number; readonly pageBytes: number }
}

const firstIsContinued = 1
const longHeader = 2
const overwriteContinued = 8
const allFlags = 15

/** Formats by their magic number, from the supported releases. */
const majorsByMagic: Readonly<Record<number, number>> = { 0xd110: 15, 0xd113: 16, 0xd116: 17, 0xd118: 18 }

/** The major release that writes WAL with a magic number; undefined for one that is not supported. */
export function majorOfMagic(magic: number): number | undefined {
  return majorsByMagic[magic]
}

/** Reads the header at the beginning of a page; undefined when it is none of a supported release. */
export function parsePageHeader(page: Uint8Array): WalPageHeader | undefined {
  if (page.length < longHeaderBytes) return undefined
  const view = new DataView(page.buffer, page.byteOffset, page.byteLength)
  const magic = view.getUint16(0, true)
  const flags = view.getUint16(2, true)
  const timeline = view.getUint32(4, true) as TimelineId
  if (majorOfMagic(magic) === undefined || (flags & ~allFlags) !== 0 || timeline === 0) return undefined
  const continuedBytes = view.getUint32(16, true)
  const header = {
    magic,
    timeline,
    lsn: view.getBigUint64(8, true) as Lsn,
    continuedBytes: (flags & firstIsContinued) === 0 ? 0 : continuedBytes,
    overwritesContinued: (flags & overwriteContinued) !== 0,
  }
  if ((flags & longHeader) === 0) return { ...header, headerBytes: shortHeaderBytes }
  const segment = {
    systemIdentifier: view.getBigUint64(24, true),
    segmentBytes: view.getUint32(32, true),
    pageBytes: view.getUint32(36, true),
  }
  if (segment.pageBytes !== walPageBytes) return undefined
  return { ...header, headerBytes: longHeaderBytes, segment }
}
