import { parseLsn } from '../../../wal/core/lsn.ts'
import type { Lsn, TimelineId } from '../../../wal/core/lsn.ts'

type Row = ReadonlyMap<string, Uint8Array | null>

const decoder = new TextDecoder()

/** The text of a column, or null; a RangeError when the server did not send the column. */
export function textOrNull(row: Row, column: string): string | null {
  const value = row.get(column)
  if (value === undefined) throw new RangeError(`the answer has no column ${column}`)
  return value === null ? null : decoder.decode(value)
}

export function textOf(row: Row, column: string): string {
  const text = textOrNull(row, column)
  if (text === null) throw new RangeError(`column ${column} of the answer is null`)
  return text
}

export function lsnOf(row: Row, column: string): Lsn {
  const lsn = parseLsn(textOf(row, column))
  if (lsn === undefined) throw new RangeError(`column ${column} of the answer is no LSN`)
  return lsn
}

export function timelineOf(row: Row, column: string): TimelineId {
  const timeline = Number(textOf(row, column))
  if (!Number.isInteger(timeline) || timeline < 1) throw new RangeError(`column ${column} of the answer is no timeline`)
  return timeline as TimelineId
}

const unitBytes: Readonly<Record<string, number>> = { B: 1, kB: 1024, MB: 1024 ** 2, GB: 1024 ** 3, TB: 1024 ** 4 }

/** Reads a memory setting as SHOW prints it (`16MB`); undefined when it is none. */
export function parseMemory(text: string): number | undefined {
  const match = /^(\d+)(B|kB|MB|GB|TB)$/.exec(text)
  if (match === null) return undefined
  return Number(match[1]) * (unitBytes[match[2]!] ?? 1)
}
