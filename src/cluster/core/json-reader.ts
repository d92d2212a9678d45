import { parseLsn } from '../../wal/core/lsn.ts'
import type { Lsn, TimelineId } from '../../wal/core/lsn.ts'

/**
 * Strict reading of the JSON that nodes leave for one another. A value that is not what it must be is an error, never a
 * default: a node that guesses about another one's state could elect a wrong leader. Unknown fields are ignored, so that
 * nodes of two versions understand one another.
 */
export class MalformedValue extends Error {
  constructor(path: string, expected: string) {
    super(`${path} is not ${expected}`)
    this.name = 'MalformedValue'
  }
}

export interface JsonReader {
  text(key: string): string
  textOrNull(key: string): string | null
  number(key: string): number
  numberOrNull(key: string): number | null
  wholeNumber(key: string): number
  flag(key: string): boolean
  lsn(key: string): Lsn
  lsnOrNull(key: string): Lsn | null
  timeline(key: string): TimelineId
  timelineOrNull(key: string): TimelineId | null
  oneOf<const Choice extends string>(key: string, choices: readonly Choice[]): Choice
  texts(key: string): readonly string[]
  /** The names of all fields, where they are data. */
  keys(): readonly string[]
  object(key: string): JsonReader
  objectOrNull(key: string): JsonReader | null
  objects(key: string): readonly JsonReader[]
}

export function readJson(path: string, json: string): JsonReader {
  let value: unknown
  try {
    value = JSON.parse(json)
  } catch {
    throw new MalformedValue(path, 'JSON')
  }
  return readObject(path, value)
}

function readObject(path: string, value: unknown): JsonReader {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw new MalformedValue(path, 'an object')
  const fields = value as Readonly<Record<string, unknown>>
  const wrong = (key: string, expected: string): never => {
    throw new MalformedValue(`${path}.${key}`, expected)
  }
  const text = (key: string): string => {
    const field = fields[key]
    return typeof field === 'string' ? field : wrong(key, 'a text')
  }
  const number = (key: string): number => {
    const field = fields[key]
    return typeof field === 'number' && Number.isFinite(field) ? field : wrong(key, 'a number')
  }
  const wholeNumber = (key: string): number => {
    const field = number(key)
    return Number.isSafeInteger(field) && field >= 0 ? field : wrong(key, 'a whole number')
  }
  const lsn = (key: string): Lsn => parseLsn(text(key)) ?? wrong(key, 'an LSN')
  const timeline = (key: string): TimelineId => {
    const field = wholeNumber(key)
    return field >= 1 ? (field as TimelineId) : wrong(key, 'a timeline')
  }
  const list = (key: string): readonly unknown[] => {
    const field = fields[key]
    return Array.isArray(field) ? field : wrong(key, 'a list')
  }
  const orNull = <Value>(key: string, read: (key: string) => Value): Value | null =>
    fields[key] === null || fields[key] === undefined ? null : read(key)
  const object = (key: string): JsonReader => readObject(`${path}.${key}`, fields[key])
  return {
    text,
    textOrNull: (key) => orNull(key, text),
    number,
    numberOrNull: (key) => orNull(key, number),
    wholeNumber,
    flag: (key) => {
      const field = fields[key]
      return typeof field === 'boolean' ? field : wrong(key, 'true or false')
    },
    lsn,
    lsnOrNull: (key) => orNull(key, lsn),
    timeline,
    timelineOrNull: (key) => orNull(key, timeline),
    oneOf: (key, choices) => {
      const field = text(key)
      return choices.find((choice) => choice === field) ?? wrong(key, `one of ${choices.join(', ')}`)
    },
    texts: (key) => list(key).map((item) => (typeof item === 'string' ? item : wrong(key, 'a list of texts'))),
    keys: () => Object.keys(fields),
    object,
    objectOrNull: (key) => orNull(key, object),
    objects: (key) => list(key).map((item, index) => readObject(`${path}.${key}[${index}]`, item)),
  }
}

/** JSON with every LSN written as PostgreSQL writes it. */
export function toJson(value: unknown): string {
  return JSON.stringify(value, (_key, field: unknown) => (typeof field === 'bigint' ? lsnText(field) : field))
}

function lsnText(lsn: bigint): string {
  return `${(lsn >> 32n).toString(16).toUpperCase()}/${(lsn & 0xffff_ffffn).toString(16).toUpperCase()}`
}
