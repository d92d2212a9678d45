import type { Lsn, TimelineId } from '../../wal/core/lsn.ts'
import { Malformed } from './malformed.ts'
import type { RecordType } from './pack-layout.ts'

/**
 * What a record holds; paths are those of the manifest. The description travels encrypted in the pack's index, so that a pack can be understood without
 * the manifest.
 */
export type RecordDescription =
  /** Consecutive pages of one segment file of a relation; all of a full backup's pages are in such records. */
  | {
      readonly type: 'pages'
      readonly meta: { readonly path: string; readonly firstPage: number; readonly pageCount: number }
    }
  /** Any pages of one segment file, in ascending order; slot n of the record holds page `pages[n]`. */
  | { readonly type: 'scattered-pages'; readonly meta: { readonly path: string; readonly pages: readonly number[] } }
  /** A piece of a file that is stored whole. */
  | { readonly type: 'file'; readonly meta: { readonly path: string; readonly offset: number } }
  /** A piece of a manifest, `offset` bytes from its beginning. */
  | { readonly type: 'manifest'; readonly meta: { readonly offset: number } }
  /** WAL from this position on. */
  | { readonly type: 'wal'; readonly meta: { readonly timeline: TimelineId; readonly startLsn: Lsn } }
  /** A timeline history file. */
  | { readonly type: 'history'; readonly meta: { readonly timeline: TimelineId } }

export function encodeRecordMeta(record: RecordDescription): Uint8Array {
  switch (record.type) {
    case 'pages': {
      const meta = withPath(8, record.meta.path)
      meta.view.setUint32(0, record.meta.firstPage, true)
      meta.view.setUint32(4, record.meta.pageCount, true)
      return meta.bytes
    }
    case 'scattered-pages': {
      const { pages } = record.meta
      const meta = withPath(4 + pages.length * 4, record.meta.path)
      meta.view.setUint32(0, pages.length, true)
      for (const [slot, page] of pages.entries()) meta.view.setUint32(4 + slot * 4, page, true)
      return meta.bytes
    }
    case 'file': {
      const meta = withPath(8, record.meta.path)
      meta.view.setBigUint64(0, BigInt(record.meta.offset), true)
      return meta.bytes
    }
    case 'manifest': {
      const meta = withPath(8, '')
      meta.view.setBigUint64(0, BigInt(record.meta.offset), true)
      return meta.bytes
    }
    case 'wal': {
      const meta = withPath(12, '')
      meta.view.setUint32(0, record.meta.timeline, true)
      meta.view.setBigUint64(4, record.meta.startLsn, true)
      return meta.bytes
    }
    case 'history': {
      const meta = withPath(4, '')
      meta.view.setUint32(0, record.meta.timeline, true)
      return meta.bytes
    }
    default:
      throw new Error('unreachable', { cause: record satisfies never })
  }
}

export function decodeRecordMeta(type: RecordType, bytes: Uint8Array): RecordDescription {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  switch (type) {
    case 'pages': {
      const path = pathAfter(bytes, 8)
      return { type, meta: { path, firstPage: view.getUint32(0, true), pageCount: view.getUint32(4, true) } }
    }
    case 'scattered-pages': {
      assertLength(bytes, 4)
      const count = view.getUint32(0, true)
      const path = pathAfter(bytes, 4 + count * 4)
      return {
        type,
        meta: { path, pages: Array.from({ length: count }, (_, slot) => view.getUint32(4 + slot * 4, true)) },
      }
    }
    case 'file': {
      const path = pathAfter(bytes, 8)
      return { type, meta: { path, offset: Number(view.getBigUint64(0, true)) } }
    }
    case 'manifest':
      assertLength(bytes, 8)
      return { type, meta: { offset: Number(view.getBigUint64(0, true)) } }
    case 'wal':
      assertLength(bytes, 12)
      return {
        type,
        meta: { timeline: view.getUint32(0, true) as TimelineId, startLsn: view.getBigUint64(4, true) as Lsn },
      }
    case 'history':
      assertLength(bytes, 4)
      return { type, meta: { timeline: view.getUint32(0, true) as TimelineId } }
    default:
      throw new Error('unreachable', { cause: type satisfies never })
  }
}

function withPath(fixedBytes: number, path: string): { readonly bytes: Uint8Array; readonly view: DataView } {
  const encoded = new TextEncoder().encode(path)
  const bytes = new Uint8Array(fixedBytes + encoded.length)
  bytes.set(encoded, fixedBytes)
  return { bytes, view: new DataView(bytes.buffer) }
}

function pathAfter(bytes: Uint8Array, fixedBytes: number): string {
  assertLength(bytes, fixedBytes)
  return new TextDecoder('utf-8', { fatal: true }).decode(bytes.subarray(fixedBytes))
}

function assertLength(bytes: Uint8Array, atLeast: number): void {
  if (bytes.length < atLeast) throw new Malformed('altered', 'the description of a record is too short')
}
