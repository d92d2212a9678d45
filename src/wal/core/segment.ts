import type { Lsn, TimelineId } from './lsn.ts'

/**
 * WAL lies in segments of one size, a power of two from 1 MiB to 1 GiB that initdb fixes. A segment's name is its
 * timeline, the upper half of its start, and its number within that half. Source: xlog_internal.h.
 */
export type SegmentNumber = bigint & { readonly brand: 'SegmentNumber' }

export const defaultSegmentBytes = 16 * 2 ** 20

/** True for the sizes that PostgreSQL accepts. */
export function isSegmentSize(bytes: number): boolean {
  return Number.isInteger(Math.log2(bytes)) && bytes >= 2 ** 20 && bytes <= 2 ** 30
}

/** The segment that holds the byte at an LSN. */
export function segmentOf(lsn: Lsn, segmentBytes: number): SegmentNumber {
  return (lsn / BigInt(segmentBytes)) as SegmentNumber
}

/** The segment that holds the byte before an LSN: the last one needed to replay up to it. */
export function segmentBefore(lsn: Lsn, segmentBytes: number): SegmentNumber {
  return ((lsn - 1n) / BigInt(segmentBytes)) as SegmentNumber
}

export function segmentStart(segment: SegmentNumber, segmentBytes: number): Lsn {
  return (segment * BigInt(segmentBytes)) as Lsn
}

/** Where an LSN lies within its segment. */
export function offsetInSegment(lsn: Lsn, segmentBytes: number): number {
  return Number(lsn % BigInt(segmentBytes))
}

/** `000000010000000A000000FF`. */
export function segmentFileName(timeline: TimelineId, segment: SegmentNumber, segmentBytes: number): string {
  const perHalf = segmentsPerHalf(segmentBytes)
  return hex8(timeline) + hex8(segment / perHalf) + hex8(segment % perHalf)
}

/** `0000000A.history`. */
export function historyFileName(timeline: TimelineId): string {
  return `${hex8(timeline)}.history`
}

/** What a file in `pg_wal` or in an archive is, by its name. */
export type WalFile =
  | { readonly kind: 'segment'; readonly timeline: TimelineId; readonly segment: SegmentNumber }
  /** The unfinished last segment of a timeline, set aside when another timeline began in it. */
  | { readonly kind: 'partial'; readonly timeline: TimelineId; readonly segment: SegmentNumber }
  | { readonly kind: 'history'; readonly timeline: TimelineId }
  /** The label of a backup that began at `start`. */
  | { readonly kind: 'backup'; readonly timeline: TimelineId; readonly segment: SegmentNumber; readonly start: Lsn }

const segmentPattern = /^([0-9A-F]{8})([0-9A-F]{8})([0-9A-F]{8})(\.partial|\.([0-9A-F]{8})\.backup)?$/
const historyPattern = /^([0-9A-F]{8})\.history$/

/** Reads a file name; undefined when it is none of PostgreSQL's, or of a segment that cannot be with this size. */
export function classifyWalFile(name: string, segmentBytes: number): WalFile | undefined {
  const history = historyPattern.exec(name)
  if (history !== null) {
    const timeline = Number.parseInt(history[1] ?? '', 16) as TimelineId
    return timeline === 0 ? undefined : { kind: 'history', timeline }
  }
  const match = segmentPattern.exec(name)
  if (match === null) return undefined
  const [, timelineText, highText, lowText, suffix, offsetText] = match
  const timeline = Number.parseInt(timelineText ?? '', 16) as TimelineId
  const low = BigInt(`0x${lowText}`)
  const perHalf = segmentsPerHalf(segmentBytes)
  if (timeline === 0 || low >= perHalf) return undefined
  const segment = (BigInt(`0x${highText}`) * perHalf + low) as SegmentNumber
  if (suffix === undefined) return { kind: 'segment', timeline, segment }
  if (offsetText === undefined) return { kind: 'partial', timeline, segment }
  const offset = BigInt(`0x${offsetText}`)
  if (offset >= BigInt(segmentBytes)) return undefined
  return { kind: 'backup', timeline, segment, start: (segmentStart(segment, segmentBytes) + offset) as Lsn }
}

function segmentsPerHalf(segmentBytes: number): bigint {
  return 0x1_0000_0000n / BigInt(segmentBytes)
}

function hex8(value: bigint | number): string {
  return value.toString(16).toUpperCase().padStart(8, '0')
}
