import type { Lsn } from '../../wal/core/lsn.ts'
import { parsePageHeader, walPageBytes } from '../../wal/core/page-header.ts'
import { recordHeaderBytes } from '../../wal/core/record-header.ts'
import type { WalPages, WalRecord } from '../../wal/core/record-reader.ts'
import type { Fork, RelationFile } from './relation-file.ts'

/** A page as WAL names it. */
export interface BlockReference {
  readonly tablespace: number
  readonly database: number
  readonly relation: number
  readonly fork: Fork
  readonly block: number
}

/** Marks in a record's block headers. Source: `xlogrecord.h` of PostgreSQL 15 to 18. */
const maxBlockId = 32
const blockIds = { dataShort: 255, dataLong: 254, origin: 253, topTransaction: 252 } as const
const blockFlags = { forkMask: 0x0f, hasImage: 0x10, willInit: 0x40, sameRelation: 0x80 } as const
const imageFlags = { hasHole: 0x01, apply: 0x02, compressed: 0x1c } as const
const forks: readonly Fork[] = ['main', 'fsm', 'vm', 'init']

/**
 * The pages that replaying a record makes anew, whatever is on disk: those with a full image that is applied, and
 * those that it initialises. Follows `DecodeXLogRecord` in `xlogreader.c`.
 */
export function rewrittenBlocks(record: Uint8Array): BlockReference[] {
  const view = new DataView(record.buffer, record.byteOffset, record.byteLength)
  const found: BlockReference[] = []
  let at = recordHeaderBytes
  let dataBytes = 0
  let relation: Pick<BlockReference, 'tablespace' | 'database' | 'relation'> | undefined
  // What is left after the headers is the data that they announced.
  while (record.length - at > dataBytes) {
    const id = view.getUint8(at)
    if (id === blockIds.dataShort || id === blockIds.dataLong) break
    if (id === blockIds.origin) at += 3
    else if (id === blockIds.topTransaction) at += 5
    else if (id > maxBlockId) break
    else {
      const flags = view.getUint8(at + 1)
      dataBytes += view.getUint16(at + 2, true)
      at += 4
      let rewritten = (flags & blockFlags.willInit) !== 0
      if ((flags & blockFlags.hasImage) !== 0) {
        dataBytes += view.getUint16(at, true)
        const image = view.getUint8(at + 4)
        const hasHoleLength = (image & imageFlags.compressed) !== 0 && (image & imageFlags.hasHole) !== 0
        at += hasHoleLength ? 7 : 5
        rewritten ||= (image & imageFlags.apply) !== 0
      }
      if ((flags & blockFlags.sameRelation) === 0) {
        relation = {
          tablespace: view.getUint32(at, true),
          database: view.getUint32(at + 4, true),
          relation: view.getUint32(at + 8, true),
        }
        at += 12
      }
      const fork = forks[flags & blockFlags.forkMask]
      const block = view.getUint32(at, true)
      at += 4
      if (rewritten && relation !== undefined && fork !== undefined) found.push({ ...relation, fork, block })
    }
  }
  return found
}

/** A record's bytes, put together from the pages it lies on. The record was read from these pages. */
export function recordBytes(pages: WalPages, record: WalRecord): Uint8Array {
  const bytes = new Uint8Array(record.totalBytes)
  let filled = 0
  for (let at: bigint = record.lsn; filled < bytes.length;) {
    const pageLsn = at - (at % BigInt(walPageBytes))
    const page = pages.page(pageLsn as Lsn)
    const header = page === undefined ? undefined : parsePageHeader(page)
    if (page === undefined || header === undefined) throw new RangeError('the pages of the record are not there')
    const begin = at === pageLsn ? header.headerBytes : Number(at - pageLsn)
    const part = page.subarray(begin, Math.min(walPageBytes, begin + bytes.length - filled))
    bytes.set(part, filled)
    filled += part.length
    at = pageLsn + BigInt(walPageBytes)
  }
  return bytes
}

const defaultTablespace = 1663
const globalTablespace = 1664

/** How WAL names a block of a relation file. */
export function blockReferenceOf(file: RelationFile, block: number): BlockReference {
  const [root, second = '', , fourth = ''] = file.directory.split('/')
  const { relation, fork } = file
  if (root === 'global') return { tablespace: globalTablespace, database: 0, relation, fork, block }
  if (root === 'base') return { tablespace: defaultTablespace, database: Number(second), relation, fork, block }
  return { tablespace: Number(second), database: Number(fourth), relation, fork, block }
}

/** For sets: two references are to the same page when their keys are equal. */
export function blockKey({ tablespace, database, relation, fork, block }: BlockReference): string {
  return `${tablespace}/${database}/${relation}/${fork}/${block}`
}
